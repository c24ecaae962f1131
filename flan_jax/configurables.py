"""Imports every module that registers a gin configurable. Nothing here imports TensorFlow."""

import importlib

MODULES = (
    "flan_jax.adafactor",
    "flan_jax.checkpoint",
    "flan_jax.data.config",
    "flan_jax.data.vocabularies",
    "flan_jax.decode.api",
    "flan_jax.evaluate",
    "flan_jax.infer",
    "flan_jax.mesh",
    "flan_jax.models.encoder_decoder",
    "flan_jax.models.t5",
    "flan_jax.optim",
    "flan_jax.schedules",
    "flan_jax.train",
)

for _module in MODULES:
    importlib.import_module(_module)
