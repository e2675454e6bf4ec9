"""Many runs in one table: what is compared, and what comes of it."""
