"""SEMINAR and its rivals as compositions of the same blocks (torch; arrays in, scores out)."""
