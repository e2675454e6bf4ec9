"""From raw events to lives that can be read in microseconds."""
