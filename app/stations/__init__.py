"""One folder per station; its `view.py` has `render()`."""
