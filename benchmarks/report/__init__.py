"""The report of a run: page, Markdown, README table, comparison with a baseline."""
