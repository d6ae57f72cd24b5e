"""The ruler: what is read off a recording, the same for every engine."""
