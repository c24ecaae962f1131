"""Checkpoints of other frameworks, in and out: T5X and Hugging Face.

`detect` says what lies at a path, `sources` opens it as named arrays, `names` gives these the names
and the layout of our parameters, and the rest carries them over in both directions.
"""
