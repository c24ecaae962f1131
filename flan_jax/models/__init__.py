"""Models: the T5 family."""
