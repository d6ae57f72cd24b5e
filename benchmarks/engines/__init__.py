"""Each engine's compute at full-size shapes, without a server."""
