"""One run of `maata bench`: its suite, schedule, calls, rows and record."""
