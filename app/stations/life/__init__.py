"""The station Life: its view, figures and loaders."""
