"""The figures that the README claims, each measured again by one file."""
