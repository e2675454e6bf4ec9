"""The station Retrieval: its view, figures and loaders."""
