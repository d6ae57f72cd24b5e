"""Intervals: of percentiles, of shares, of pooled rates and of differences."""
