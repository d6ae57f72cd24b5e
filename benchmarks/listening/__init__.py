"""A blind listening test of a run, as one page."""
