"""Lives to look at: timelines, interests, and how people are found."""
