"""The programs of a recipe as abstract computations: the training step, evaluation, decoding.

They are the functions that `flan-jax train` and `flan-jax eval` compile; nothing is materialised.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import gin
import jax
import jax.numpy as jnp

from flan_jax import starting
from flan_jax.data.config import DatasetConfig
from flan_jax.data.layout import RowLayout
from flan_jax.decode.config import DecodeConfig
from flan_jax.errors import ConfigError
from flan_jax.mesh import PjitPartitioner, planned_devices
from flan_jax.models.base import BaseModel

_ENTRY = "train_script.train"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a plan needs of a gin configuration.

    Attributes:
      model: network, loss and optimizer.
      partitioner: the mesh, on the devices planned for.
      train_cfg: what it trains on; lengths, rows and packing are read.
      infer_cfg: what it decodes, or None.
      decode_config: how it decodes.
      num_microbatches: parts of a batch.
      total_steps: of the whole run.
      plan: the arrays.
      seed: of dropout.
      choose: which arrays of a model are trained; for models that differ in scanning or remat.
    """

    model: BaseModel
    partitioner: PjitPartitioner
    train_cfg: DatasetConfig
    infer_cfg: DatasetConfig | None
    decode_config: DecodeConfig
    num_microbatches: int
    total_steps: int
    plan: starting.Plan
    seed: int
    choose: Callable[[BaseModel], Any]


def read_recipe(devices: list[Any]) -> Recipe:
    """Makes the objects of the applied gin configuration on planned devices.

    Raises:
      ConfigError, TopologyError: as a run would; also where rows do not split over the devices.
    """
    with planned_devices(devices):
        # An argument of its own default is not bound; what a recipe binds is made here.
        bound = gin.get_bindings(_ENTRY)
    model, partitioner, trainer = bound["model"], bound["partitioner"], bound["trainer"]
    train_cfg = bound["train_dataset_cfg"]
    if model.optimizer_def is None:
        raise ConfigError(f"models.{type(model).__name__}.optimizer_def is None; give one to plan.")
    microbatches = trainer.num_microbatches or 1
    partitioner.check_batch_size(train_cfg.batch_size, microbatches)
    datasets = {"train_dataset_cfg": train_cfg}
    for name, cfg in datasets.items():
        model.row_layout.check_lengths(cfg.task_feature_lengths, f"{_ENTRY}.{name}")
    checkpoint_cfg = bound["checkpoint_cfg"]
    patterns = bound.get("trainable")
    if patterns is not None and checkpoint_cfg.restore is not None:
        # Nothing is read: any path stands for the checkpoint that the run will start from.
        restore = dataclasses.replace(checkpoint_cfg.restore, path="planned")
        checkpoint_cfg = dataclasses.replace(checkpoint_cfg, restore=restore)

    def choose(model: BaseModel) -> Any:
        return starting.choose(model, patterns, checkpoint_cfg, bound.get("prompt_init"), datasets)

    return Recipe(
        model=model,
        partitioner=partitioner,
        train_cfg=train_cfg,
        infer_cfg=bound.get("infer_eval_dataset_cfg"),
        decode_config=bound.get("decode_config") or DecodeConfig(),
        num_microbatches=microbatches,
        total_steps=bound["total_steps"],
        plan=starting.make_plan(model, choose(model), trainer.learning_rate_fn, partitioner),
        seed=bound.get("random_seed", 0),
        choose=choose,
    )


def abstract_batch(
    cfg: DatasetConfig, layout: RowLayout, partitioner: PjitPartitioner
) -> dict[str, jax.ShapeDtypeStruct]:
    """The features of a training batch (docs/architecture.md), placed."""
    inputs, targets = cfg.input_length, cfg.target_length
    if layout.decoder_only:
        names = ["target_tokens", "input_tokens", "loss_weights", "task_ids"]
        names += ["causal_attention"] if layout.bidirectional_inputs else []
        names += ["segment_ids", "positions"] if cfg.pack else []
        lengths = {f"decoder_{name}": inputs + targets for name in names}
    else:
        encoder = ["input_tokens"] + (["segment_ids", "positions"] if cfg.pack else [])
        decoder = ["target_tokens", "loss_weights", "task_ids", *encoder]
        lengths = {f"encoder_{name}": inputs for name in encoder}
        lengths |= {f"decoder_{name}": targets for name in decoder}
    sharding = partitioner.batch_sharding()
    return {
        name: jax.ShapeDtypeStruct((cfg.batch_size, length), jnp.int32, sharding=sharding)
        for name, length in lengths.items()
    }


def _placed(abstract: Any, shardings: Any) -> Any:
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        abstract,
        shardings,
    )


def lower_train(recipe: Recipe) -> Any:
    """Lowers the training step of `flan-jax train`."""
    batch = abstract_batch(recipe.train_cfg, recipe.model.row_layout, recipe.partitioner)
    jitted = starting.jit_train_step(
        recipe.plan,
        {name: array.sharding for name, array in batch.items()},
        recipe.num_microbatches,
        seed=recipe.seed,
    )
    state = _placed(recipe.plan.abstract, recipe.plan.shardings)
    frozen = _placed(recipe.plan.abstract_frozen, recipe.plan.frozen_shardings)
    with recipe.partitioner.activate():
        return jitted.lower(state, batch, frozen)


def _params(recipe: Recipe) -> Any:
    from flan_jax import trainable

    plan = recipe.plan
    return _placed(
        trainable.merge(plan.abstract.params, plan.abstract_frozen),
        trainable.merge(plan.shardings.params, plan.frozen_shardings),
    )


def lower_eval(recipe: Recipe) -> Any:
    """Lowers the teacher-forced loss of a batch, as evaluation during training computes it."""
    from flan_jax.eval import runner

    batch = abstract_batch(recipe.train_cfg, recipe.model.row_layout, recipe.partitioner)
    with recipe.partitioner.activate():
        return runner.jit_loss.lower(recipe.model, recipe.partitioner, _params(recipe), batch)


def decode_length(recipe: Recipe) -> int:
    """Most tokens that decoding produces for a row."""
    cfg = recipe.infer_cfg or recipe.train_cfg
    return recipe.decode_config.max_decode_length or cfg.target_length


def lower_decode(recipe: Recipe) -> Any:
    """Lowers the decoding of a batch of prompts, as long as the recipe's inputs and targets."""
    from flan_jax.eval import predictions

    cfg = recipe.infer_cfg or recipe.train_cfg
    rows = predictions.whole_batch(recipe.partitioner, cfg.batch_size)
    layout, partitioner = recipe.model.row_layout, recipe.partitioner

    def array(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(
            shape, jnp.int32, sharding=partitioner.batch_sharding(len(shape))
        )

    if layout.decoder_only:
        batch = {
            "decoder_prefix_tokens": array(rows, cfg.input_length + 1),
            "decoder_prefix_lengths": array(rows),
        }
    else:
        batch = {"encoder_input_tokens": array(rows, cfg.input_length)}
    batch["row_ids"] = array(rows)
    config = dataclasses.replace(
        recipe.decode_config,
        max_decode_length=decode_length(recipe),
        # The automatic choice looks at this machine's devices, not at those planned for.
        prepare_weights=bool(recipe.decode_config.prepare_weights),
    )
    key = jax.eval_shape(lambda: jax.random.key(0))
    with partitioner.activate():
        return predictions.jit_decode.lower(
            recipe.model, partitioner, config, _params(recipe), batch, key
        )


PROGRAMS: dict[str, Callable[[Recipe], Any]] = {
    "train": lower_train,
    "eval": lower_eval,
    "decode": lower_decode,
}
