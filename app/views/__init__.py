"""One module per station, each with `render()`."""
