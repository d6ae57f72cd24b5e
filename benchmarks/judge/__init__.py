"""Who listens to what the bot said, and how well the listener hears."""
