"""SEMINAR Explorer: the core, in the order of the data's journey from raw events to trained runs and diagnostics."""
