"""One target against one life: what exact and quantised search keep, and what that changes."""
