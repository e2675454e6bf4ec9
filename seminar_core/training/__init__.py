"""The training loop, checkpoints, runs and background jobs."""
