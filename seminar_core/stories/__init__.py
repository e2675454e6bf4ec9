"""Stories: views of runs in order, with captions and speaker notes, as one page that needs no network."""
