"""A user's task module: `register()` is called after the configuration is read."""

from flan_jax import testing


def register() -> None:
    """Registers `toy_copy` and one task without rows."""
    testing.register_toy_task("toy_copy", 60)
    testing.register_toy_task("toy_empty", rows=[])
