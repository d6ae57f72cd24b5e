"""What fits as an answer to a turn: by written keys, and by a language model's opinion."""
