"""How a voice speaks: is it understood, told apart, quick, and without a seam."""
