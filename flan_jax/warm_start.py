"""The programs a training run will need, compiled ahead: training step, losses, decoding, scoring.

They are lowered from shapes alone, with the shapes and shardings that the run will use, so that the
run's own calls find them compiled.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from flan_jax import starting, telemetry, trainable
from flan_jax.axes import PyTree
from flan_jax.compiling import Ahead, CompileLog
from flan_jax.data.config import DatasetConfig
from flan_jax.data.layout import RowLayout
from flan_jax.data.mixture import ResolvedMixture
from flan_jax.data.packing import assemble
from flan_jax.decode.config import DecodeConfig
from flan_jax.errors import ConfigError
from flan_jax.mesh import PjitPartitioner

# Name -> what compiles it.
Programs = Iterator[tuple[str, Callable[[], Any]]]


def abstract_batch(
    cfg: DatasetConfig, layout: RowLayout, partitioner: PjitPartitioner
) -> dict[str, jax.ShapeDtypeStruct]:
    """A batch of `cfg` as the devices will have it, without data.

    Args:
      cfg: rows, lengths and packing.
      layout: the model's `row_layout`.
      partitioner: the mesh.
    """
    sizes = cfg.batch_size, cfg.input_length, cfg.target_length
    return _placed(assemble([], *sizes, cfg.pack, layout), partitioner)


def _placed(arrays: Mapping[str, Any], partitioner: PjitPartitioner) -> dict[str, Any]:
    return {
        name: jax.ShapeDtypeStruct(
            array.shape, array.dtype, sharding=partitioner.batch_sharding(array.ndim)
        )
        for name, array in arrays.items()
    }


def _with_shardings(abstract: PyTree, shardings: PyTree) -> PyTree:
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        abstract,
        shardings,
    )


def compile_train_step(
    plan: starting.Plan,
    partitioner: PjitPartitioner,
    cfg: DatasetConfig,
    num_microbatches: int,
    num_tasks: int,
    seed: int,
) -> Any:
    """Compiles `step(state, batch, frozen)`; a batch of another shape is an error, no recompile.

    Args:
      plan: the arrays of the run.
      partitioner: the mesh.
      cfg: what it trains on.
      num_microbatches: see `step.make_train_step`.
      num_tasks: likewise.
      seed: likewise.
    """
    batch = abstract_batch(cfg, plan.model.row_layout, partitioner)
    placed = {name: array.sharding for name, array in batch.items()}
    jitted = starting.jit_train_step(plan, placed, num_microbatches, num_tasks, seed)
    state = _with_shardings(plan.abstract, plan.shardings)
    frozen = _with_shardings(plan.abstract_frozen, plan.frozen_shardings)
    with partitioner.activate():
        return jitted.lower(state, batch, frozen).compile()


def evaluation_programs(
    plan: starting.Plan,
    partitioner: PjitPartitioner,
    train_eval: DatasetConfig | None,
    infer_eval: DatasetConfig | None,
    infer_eval_mixture: ResolvedMixture | None,
    decode_config: DecodeConfig,
) -> Programs:
    """Yields what the evaluations of a run compile.

    Args:
      plan: the arrays of the run.
      partitioner: the mesh.
      train_eval: what losses are taken of, or None.
      infer_eval: what is decoded or scored, or None.
      infer_eval_mixture: its tasks.
      decode_config: how it is decoded.
    """
    from flan_jax.eval import metrics, predictions, runner

    model = plan.model
    params = _with_shardings(
        trainable.merge(plan.abstract.params, plan.abstract_frozen),
        trainable.merge(plan.shardings.params, plan.frozen_shardings),
    )

    def program(jitted: Any, statics: tuple[Any, ...], *args: Any) -> Callable[[], Any]:
        def compiled() -> Any:
            with partitioner.activate():
                return jitted.lower(model, partitioner, *statics, params, *args).compile()

        return compiled

    if train_eval is not None:
        rows = predictions.whole_batch(partitioner, train_eval.batch_size)
        cfg = dataclasses.replace(train_eval, batch_size=rows)
        batch = abstract_batch(cfg, model.row_layout, partitioner)
        yield "loss", program(runner.jit_loss, (), batch)
    if infer_eval is None or infer_eval_mixture is None:
        return
    cfg, mixture = infer_eval, infer_eval_mixture
    needed = [metrics.needs(share.task) for share in mixture.shares]
    end = mixture.output_features["targets"].vocabulary.eos_id
    config = predictions.with_end_token(decode_config, end)
    if config.max_decode_length is None:
        config = dataclasses.replace(config, max_decode_length=cfg.target_length)
    if any(each.predictions for each in needed):
        for length, features in _inputs_of_each_length(model.row_layout, partitioner, cfg, True):
            batch = {name: features[name] for name in predictions.READ if name in features}
            batch["row_ids"] = np.zeros(len(next(iter(batch.values()))), np.int32)
            key = jax.eval_shape(lambda: jax.random.key(0))
            yield (
                f"{config.method} decoding after {length} tokens",
                program(predictions.jit_decode, (config,), _placed(batch, partitioner), key),
            )
    if any(each.scores for each in needed):
        layout = dataclasses.replace(model.row_layout, loss_on="targets")
        for length, features in _inputs_of_each_length(layout, partitioner, cfg, False):
            batch = _placed(features, partitioner)
            yield f"scoring after {length} tokens", program(predictions.jit_score, (), batch)


def compile_all(
    train_step: Ahead[Any],
    programs: Programs,
    cache: str | None,
    compiles: CompileLog,
    say: Callable[[str], None],
) -> None:
    """Compiles everything, which leaves it in the persistent cache.

    Args:
      train_step: being compiled.
      programs: from `evaluation_programs`.
      cache: directory of the cache.
      compiles: tells what was found there.
      say: receives a line per program.

    Raises:
      ConfigError: there is no cache.
    """
    if cache is None:
        raise ConfigError(
            "There is no compile cache to fill: on CPU it is off unless "
            "runtime.Runtime.compile_cache names a directory. Give "
            "--gin.runtime.Runtime.compile_cache=\"'/absolute/path'\"."
        )
    train_step.result()
    say(f"training step: {telemetry.format_duration(train_step.seconds)}")
    for name, compiled in programs:
        ahead = Ahead(compiled)
        ahead.result()
        say(f"{name}: {telemetry.format_duration(ahead.seconds)}")
    say(f"{compiles.describe()}; the cache is {cache}")


def compile_in_background(programs: Programs, wanted: bool | None) -> Ahead[None] | None:
    """Begins to compile what evaluations need while training goes on.

    Args:
      programs: from `evaluation_programs`.
      wanted: whether to; None where the host has nothing else to do, so not on CPU. With several
        processes on GPUs not either: these agree on kernels while they compile, in one order.
    """
    backend = jax.default_backend()
    if wanted is None:
        wanted = backend == "tpu" or (backend != "cpu" and jax.process_count() == 1)
    if not wanted:
        return None

    def compile_each() -> None:
        for _, compiled in programs:
            compiled()

    return Ahead(compile_each)


def _inputs_of_each_length(
    layout: RowLayout, partitioner: PjitPartitioner, cfg: DatasetConfig, prefixes: bool
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """The batches that decoding or scoring sees, one for each length that is compiled."""
    from flan_jax.data.eval_data import EvalBatches
    from flan_jax.eval.predictions import length_buckets, whole_batch

    lengths = {"inputs": 0, **cfg.task_feature_lengths}
    buckets = length_buckets(lengths["inputs"])
    for length in buckets:
        example = {"inputs": np.ones(length, np.int32), "targets": np.ones(1, np.int32)}
        rows = whole_batch(partitioner, cfg.batch_size)
        batches = EvalBatches(
            [example], lengths, rows, input_buckets=buckets, layout=layout, prefixes=prefixes
        )
        for batch in batches:
            yield length, batch.features
