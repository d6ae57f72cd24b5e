"""Recorded speech that users have, as calls of one turn."""
