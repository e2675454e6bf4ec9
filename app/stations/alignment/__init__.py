"""The station Alignment: its view, figures and loaders."""
