"""flan-jax: instruction tuning in JAX, with the FLAN family of recipes."""

__version__ = "0.1.0"
