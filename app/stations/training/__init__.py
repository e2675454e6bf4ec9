"""The station Training: its view, figures and loaders."""
