"""`flan-jax plan`: what a recipe's compiled steps need of a TPU slice, without the slice."""
