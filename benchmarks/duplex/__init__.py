"""The duplex suite: stimuli, calls, and what the bot did in each."""
