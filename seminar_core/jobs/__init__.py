"""Background jobs: a training as a process that tells the truth, and where it runs."""
