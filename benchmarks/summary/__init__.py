"""`results.json`: every figure of a run, computed from its raw rows."""
