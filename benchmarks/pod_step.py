"""One training step of T5 1.1 for a TPU slice, ours or T5X's, compiled and not run, as JSON.

    python -m benchmarks.pod_step --side ours
    python -m benchmarks.pod_step --side t5x --t5x_checkout /path/to/a/t5x/checkout

Both sides: 64 packed rows of 1,024 and 256 tokens, bfloat16, Adafactor, no dropout, scanned layers.
Ours is `runs/flan_t5_SIZE.gin` on the slice's topology file. T5X's is its examples/scalable_t5
network under its 'minimal' remat, its loss, trainer step and optimizer, its standard logical axis
rules and its own placement of 8 model partitions on a v4. T5X's PjitPartitioner looks for attached
devices; the same rules are applied to the devices compiled for, by `jax.set_mesh`, without which
the network's sharding constraints would do nothing. The executables go through the same analysis.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import logging
import pathlib
import sys
import time
import types
from typing import Any

from flan_jax.chips import GIB, SliceShape, parse_slice
from flan_jax.plan import topology

ROWS = 64
LENGTHS = {"inputs": 1024, "targets": 256}
LEARNING_RATE = 1e-3

# T5X's field names; examples/scalable_t5/t5_1_1/*.gin.
_SMALL = {"emb_dim": 512, "num_heads": 6, "mlp_dim": 1024}
_XXL = {"emb_dim": 4096, "num_heads": 64, "mlp_dim": 10240}
_LAYERS = {"small": 8, "xxl": 24}


def lower_ours(args: argparse.Namespace, slice_shape: SliceShape, devices: list[Any]) -> Any:
    """Lowers our step; returns (lowered, mesh)."""
    from flan_jax import gin_utils
    from flan_jax.plan import programs

    bindings = [
        "MODEL_DIR = 'planned'",
        f"TASK_FEATURE_LENGTHS = {LENGTHS}",
        f"BATCH_SIZE = {ROWS}",
        "DROPOUT_RATE = 0.0",
    ]
    if args.layers:
        bindings += [f"network.T5Config.num_{n}coder_layers = {args.layers}" for n in ("en", "de")]
    files = [f"runs/flan_t5_{args.size}.gin", f"topologies/{slice_shape.booked_as}.gin"]
    gin_utils.parse(files, bindings + args.gin_bindings)
    recipe = programs.read_recipe(devices)
    return programs.lower_train(recipe), recipe.partitioner.mesh


def lower_t5x(args: argparse.Namespace, slice_shape: SliceShape, devices: list[Any]) -> Any:
    """Lowers T5X's step; returns (lowered, mesh)."""
    del slice_shape  # T5X reads the devices.
    import jax
    import jax.numpy as jnp
    from flax.linen import partitioning as flax_partitioning
    from jax.sharding import NamedSharding, PartitionSpec

    from benchmarks.t5x_baseline import import_t5x

    t5x = import_t5x(args.t5x_checkout)
    from t5x import partitioning  # pyright: ignore[reportMissingImports]

    model = _t5x_model(t5x, args)
    mesh = _t5x_mesh(partitioning, args, devices)
    rules = partitioning.standard_logical_axis_rules(
        activation_partitioning_dims=1, parameter_partitioning_dims=args.parameter_dims
    )
    shapes = {
        f"{side}_{name}": (ROWS, LENGTHS[length])
        for side, length in (("encoder", "inputs"), ("decoder", "targets"))
        for name in ("input_tokens", "segment_ids", "positions")
    }
    shapes |= {f"decoder_{name}": (ROWS, LENGTHS["targets"]) for name in _DECODER_ONLY}
    by_rows = NamedSharding(mesh, PartitionSpec("data"))
    batch = {
        name: jax.ShapeDtypeStruct(shape, jnp.int32, sharding=by_rows)
        for name, shape in shapes.items()
    }

    def initial_state(key: Any) -> Any:
        input_types = {name: jnp.int32 for name in shapes}
        variables = model.get_initial_variables(key, shapes, input_types)
        return t5x.train_state.FlaxOptimTrainState.create(model.optimizer_def, variables)

    key = jax.eval_shape(lambda: jax.random.PRNGKey(0))
    abstract = jax.eval_shape(initial_state, key)
    shardings = _t5x_shardings(abstract, mesh, rules)
    state = jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        abstract,
        shardings,
    )
    step = functools.partial(
        t5x.trainer.train_with_lr,
        learning_rate=LEARNING_RATE,
        model=model,
        num_microbatches=None,
    )
    jitted = jax.jit(
        lambda state, batch, key: step(state, batch, dropout_rng=key),
        out_shardings=(shardings, None),
        donate_argnums=0,
    )
    with jax.set_mesh(mesh), flax_partitioning.axis_rules(rules):
        return jitted.lower(state, batch, key), mesh


_DECODER_ONLY = ("target_tokens", "loss_weights")


def _t5x_model(t5x: types.SimpleNamespace, args: argparse.Namespace) -> Any:
    from t5x.examples.scalable_t5 import network  # pyright: ignore[reportMissingImports]

    layers = args.layers or _LAYERS[args.size]
    config = network.T5Config(
        vocab_size=32128,
        dtype="bfloat16",
        head_dim=64,
        mlp_activations=("gelu", "linear"),
        num_encoder_layers=layers,
        num_decoder_layers=layers,
        dropout_rate=0.0,
        logits_via_embedding=False,
        remat_policy="minimal",
        scan_layers=True,
        **(_SMALL if args.size == "small" else _XXL),
    )
    vocabulary = types.SimpleNamespace(eos_id=1)
    return t5x.models.EncoderDecoderModel(
        module=network.Transformer(config),
        input_vocabulary=vocabulary,
        output_vocabulary=vocabulary,
        optimizer_def=t5x.adafactor.Adafactor(
            decay_rate=0.8,
            step_offset=0,
            logical_factor_rules=t5x.adafactor.standard_logical_factor_rules(),
        ),
        z_loss=1e-4,
    )


def _t5x_mesh(partitioning: Any, args: argparse.Namespace, devices: list[Any]) -> Any:
    from jax.sharding import AxisType, Mesh

    mesh = partitioning.get_mesh(
        (*(int(size) for size in args.model_submesh.split("x")), 1),
        input_devices=devices,
        input_local_devices=[one for one in devices if one.process_index == 0],
    )
    # T5X's constraints are hints to the partitioner, as all axes were when it was written.
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * 2)


def _t5x_shardings(abstract: Any, mesh: Any, rules: Any) -> Any:
    """Shardings of T5X's train state by its logical axes, as its partitioner finds them."""
    import jax
    from flax import traverse_util
    from flax.linen import partitioning as flax_partitioning
    from jax.sharding import NamedSharding, PartitionSpec

    def sharding(axes: Any) -> NamedSharding:
        names = None if axes is None else flax_partitioning.logical_to_mesh_axes(tuple(axes), rules)
        return NamedSharding(mesh, PartitionSpec() if names is None else names)

    empty = traverse_util.empty_node
    axes = traverse_util.flatten_dict(abstract.as_logical_axes().state_dict(), True, sep="/")
    placed = {name: one if one is empty else sharding(one) for name, one in axes.items()}
    shardings = abstract.restore_state(traverse_util.unflatten_dict(placed, sep="/"))
    found, expected = jax.tree.structure(shardings), jax.tree.structure(abstract)
    if found != expected:
        raise RuntimeError(f"T5X's logical axes are those of {found}; its state is {expected}")
    return shardings


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Compiles one side's step and analyses it; times in seconds, sizes in bytes of one device."""
    slice_shape = parse_slice(args.topology)
    devices = topology.devices(slice_shape)
    import jax

    from flan_jax.plan import analysis

    started = time.perf_counter()
    lower = lower_ours if args.side == "ours" else lower_t5x
    lowered, mesh = lower(args, slice_shape, devices)
    lower_s = time.perf_counter() - started
    print(f"{time.strftime('%H:%M:%S')} lowered in {lower_s:.1f} s, compiling", file=sys.stderr)
    started, cpu_started = time.perf_counter(), time.process_time()
    compiled = lowered.compile()
    compile_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    if args.hlo:
        args.hlo.parent.mkdir(parents=True, exist_ok=True)
        args.hlo.write_text(compiled.as_text(), encoding="utf-8")
    memory = compiled.memory_analysis()
    costs, line = analysis.analyze_compiled(compiled, slice_shape, dict(mesh.shape), mesh.devices)
    peak = int(memory.peak_memory_in_bytes)
    terms = ("compute_s", "hbm_s", "ici_s", "dcn_s", "overlapped_s", "serial_s", "bound_by")
    return {
        "side": args.side,
        "topology": slice_shape.name,
        "mesh": {axis: int(size) for axis, size in mesh.shape.items() if size > 1},
        "jax": jax.__version__,
        "peak_bytes": peak,
        "peak_gib": round(peak / GIB, 2),
        "argument_bytes": int(memory.argument_size_in_bytes),
        "lower_s": round(lower_s, 1),
        "compile_s": round(compile_s, 1),
        "compile_cpu_s": round(cpu_s, 1),
        "flops": costs.flops,
        "hbm_bytes": costs.hbm_bytes,
        "onchip_bytes": costs.onchip_bytes,
        "roofline": {name: getattr(line, name) for name in terms},
        "collectives": [dataclasses.asdict(one) for one in line.traffic],
        "unknown_loops": list(costs.unknown_loops),
    }


def _parser() -> argparse.ArgumentParser:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", choices=("ours", "t5x"), required=True)
    parser.add_argument("--size", choices=tuple(_LAYERS), default="xxl")
    parser.add_argument("--layers", type=int, help="of each stack, in place of the size's")
    parser.add_argument("--topology", default="v4:4x4x4", help="as of flan-jax plan")
    parser.add_argument("--gin_bindings", action="append", default=[], help="ours: further ones")
    parser.add_argument("--t5x_checkout", help="T5X's: the folder that holds its package t5x")
    parser.add_argument(
        "--model_submesh",
        default="4x2x1",
        help="T5X's: chips of one model replica; the default is T5X's for 8 partitions on a v4",
    )
    parser.add_argument(
        "--parameter_dims",
        type=int,
        choices=(1, 2),
        default=1,
        help="T5X's parameter_partitioning_dims: 2 also cuts parameters over the axis 'data'",
    )
    parser.add_argument("--hlo", type=pathlib.Path, help="also write the compiled program here")
    return parser


def main() -> None:
    """Prints the figures of one side."""
    parser = _parser()
    args = parser.parse_args()
    if args.side == "t5x" and not args.t5x_checkout:
        parser.error("--side t5x needs --t5x_checkout")
    topology.prepare_environment()
    logging.disable(logging.WARNING)
    # Importing TensorFlow through seqio prints; standard output is for the JSON.
    with contextlib.redirect_stdout(sys.stderr):
        found = measure(args)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
