"""Word and character error rates of any system's transcripts."""
