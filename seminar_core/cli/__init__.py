"""The command line: every command calls the same core functions as the app."""
