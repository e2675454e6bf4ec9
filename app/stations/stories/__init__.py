"""Home: what this is, three questions, the state of the workspace."""
