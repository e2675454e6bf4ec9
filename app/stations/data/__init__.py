"""The station Data: its view, figures and loaders."""
