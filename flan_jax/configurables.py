"""Imports every module that registers a gin configurable. None of them imports TensorFlow."""

import importlib

from flan_jax import gin_utils

MODULES = (
    "flan_jax.adafactor",
    "flan_jax.checkpoint_config",
    "flan_jax.data.config",
    "flan_jax.data.order.rates",
    "flan_jax.data.order.settings",
    "flan_jax.data.vocabularies",
    "flan_jax.decode.config",
    "flan_jax.eval.opened",
    "flan_jax.eval.suites.catalog",
    "flan_jax.eval.suites.command",
    "flan_jax.eval.suites.draws",
    "flan_jax.eval.toxicity",
    "flan_jax.evaluate",
    "flan_jax.infer",
    "flan_jax.interop.serving",
    "flan_jax.mesh",
    "flan_jax.models.config",
    "flan_jax.models.decoder",
    "flan_jax.models.decoder_config",
    "flan_jax.models.decoder_only",
    "flan_jax.models.encoder_decoder",
    "flan_jax.models.lora",
    "flan_jax.models.rotary",
    "flan_jax.models.t5",
    "flan_jax.optimizers",
    "flan_jax.prompt_init",
    "flan_jax.runtime",
    "flan_jax.scaling",
    "flan_jax.schedules",
    "flan_jax.sharding",
    "flan_jax.train",
    "tasks.flan2021.evaluation",
    "tasks.flan2021.recipes",
    "tasks.miniflan",
    "tasks.paths",
    "tasks.settings.evaluation",
    "tasks.settings.flan",
    "tasks.settings.p3",
    "tasks.settings.reasoning",
    "tasks.settings.tuning",
    "tasks.super_ni.scores",
)

# Read by task modules, or by the run, without a reference in gin files.
CONSULTED = (
    "miniflan.Settings",
    "runtime.Runtime",
    "order.Settings",
    "suites.Draws",
    "suites.SuiteOptions",
    "tasks.Benchmarks",
    "tasks.Cot",
    "tasks.CotSuperNI",
    "tasks.Dialog",
    "tasks.Flan2021",
    "tasks.Flan2022",
    "tasks.Muffin",
    "tasks.Niv2",
    "tasks.Paths",
    "tasks.Pretraining",
    "tasks.ProgramSynthesis",
    "tasks.Sft",
    "tasks.SuperNI",
    "tasks.T0",
    "tasks.Tulu",
    "toxicity.Toxicity",
)

for _module in MODULES:
    importlib.import_module(_module)
for _name in CONSULTED:
    gin_utils.mark_root(_name)
