"""Are the modalities in one space: the number card, the map, the work-list."""
