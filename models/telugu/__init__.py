"""Telugu text: its written standard, its error rates, its spoken form, and where it may be cut.

Plain string functions without weights; pipelines, training and benchmarks alike may use them.
"""
