"""The shipped sets of caller turns, frozen, and their voices."""
