"""The servers that are called: one of one's own, or what answers at an address."""
