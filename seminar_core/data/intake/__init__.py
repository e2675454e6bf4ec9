"""What people bring, seen before it is used: guesses about their files, uploads of a page."""
