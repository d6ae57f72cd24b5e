"""The load suite: a ramp of concurrent callers to the step that no longer holds."""
