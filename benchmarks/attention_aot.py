"""Memory and traffic of attention by the TPU kernels and by XLA, as the TPU compiler sees them.

Nothing runs: `python -m benchmarks.attention_aot [--topology v4:2x2x1]` compiles the attention of a
layer, forward and backward, for one chip of a slice, on a machine without any (libtpu is needed).
Shapes are those of one chip where the heads are split eight ways. Temporaries are what the compiler
allocates beside inputs and results; traffic is its count of bytes that operations read and write.
"""

import argparse
import dataclasses
import os
import time
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from flan_jax.models import attention, masks
from flan_jax.models.t5 import T5Config


@dataclasses.dataclass(frozen=True)
class Case:
    """One attention: bidirectional with relative bias, causal with it, or cross without."""

    name: str
    kind: str
    queries: int
    keys: int
    rows: int = 8
    heads: int = 8
    kv_heads: int = 8
    head_dim: int = 64


CASES = (
    Case("T5-XXL encoder", "encoder", 1024, 1024),
    Case("T5-XXL decoder", "decoder", 256, 256),
    Case("T5-XXL cross", "cross", 256, 1024),
    Case(
        "PaLM 540B, 12 chips to a row", "row", 2048, 2048, rows=1, heads=4, kv_heads=1, head_dim=256
    ),
)


def device(topology: str) -> Any:
    """A chip of a slice such as 'v4:2x2x1'; raises what libtpu does if there is no such slice."""
    options = {"chip_config_name": "megacore"} if topology.startswith("v4") else {}
    return topologies.get_topology_desc(topology, "tpu", **options).devices[0]


def compiled(case: Case, kernel: str, chip: Any) -> Any:
    """The executable of the output's and all inputs' gradients; `kernel` as in T5Config."""
    config = T5Config(vocab_size=1, num_heads=case.heads, head_dim=case.head_dim, dtype="bfloat16")
    relative = None
    if case.kind in ("encoder", "decoder"):
        relative = attention.relative_bias(config, bidirectional=case.kind == "encoder")

    def forward(q: Any, k: Any, v: Any, table: Any, own: Any, source: Any) -> jax.Array:
        visible = {
            "encoder": lambda: masks.of_tokens(own, own, own, own, aligned=True),
            "decoder": lambda: masks.of_tokens(own, own, own, own, aligned=True, causal=True),
            "cross": lambda: masks.of_tokens(own, source, own, source),
            "row": lambda: masks.of_row(case.queries, own),
        }[case.kind]()
        variables = {"params": {"rel_embedding": table}}
        bound = None if relative is None else relative.bind(variables)
        mask, bias = attention.lay_out(kernel, visible, config, case.rows, bound)
        scale = case.head_dim**-0.5 if case.kind == "row" else None
        heads = (_heads(q, case.heads), _heads(k, case.kv_heads), _heads(v, case.kv_heads))
        out = attention.attend(heads[0], attention.Source(*heads[1:], mask, bias), scale=scale)
        return out.transpose(0, 2, 1, 3).reshape(q.shape)

    def backward(q: Any, k: Any, v: Any, table: Any, own: Any, source: Any, dout: Any) -> Any:
        out, pull = jax.vjp(
            lambda q, k, v, table: forward(q, k, v, table, own, source), q, k, v, table
        )
        return out, pull(dout)

    # Named like the training meshes' axes, of one chip.
    mesh = Mesh(np.array([chip]), ("model",), axis_types=(AxisType.Auto,))
    whole = NamedSharding(mesh, PartitionSpec())

    def array(dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=whole)

    query = array(jnp.bfloat16, case.rows, case.queries, case.heads * case.head_dim)
    key = array(jnp.bfloat16, case.rows, case.keys, case.kv_heads * case.head_dim)
    table = array(jnp.float32, case.heads, config.relpos_num_buckets)
    ids = (array(jnp.int32, case.rows, n) for n in (case.queries, case.keys))
    with jax.set_mesh(mesh):
        return jax.jit(backward).lower(query, key, key, table, *ids, query).compile()


def _heads(x_BxTxJ: jax.Array, heads: int) -> jax.Array:
    return x_BxTxJ.reshape(*x_BxTxJ.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topology", default="v4:2x2x1", help="such as v4:2x2x1 or v5e:2x2")
    parser.add_argument("--case", choices=[case.kind for case in CASES], action="append")
    flags = parser.parse_args()
    chip = device(flags.topology)
    print(f"{flags.topology}, {chip.device_kind}, jax {jax.__version__}, bfloat16\n")
    print("| | by | temporaries, MiB | traffic, MiB | compile, CPU s |")
    print("|---|---|--:|--:|--:|")
    for case in CASES:
        if flags.case and case.kind not in flags.case:
            continue
        for kernel in ("xla", "pallas"):
            start = time.process_time()
            program = compiled(case, kernel, chip)
            seconds = time.process_time() - start
            temporaries = program.memory_analysis().temp_size_in_bytes / 2**20
            traffic = program.cost_analysis()["bytes accessed"] / 2**20
            print(
                f"| {case.name}, {case.rows} x {case.queries} x {case.keys} | {kernel} | "
                f"{temporaries:.1f} | {traffic:.0f} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
