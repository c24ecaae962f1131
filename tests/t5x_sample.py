"""The sample checkpoint that T5X wrote: its network, and a reader that is not under test."""

import pathlib

import flax.serialization
import numpy as np
import tensorstore as ts

from flan_jax.models.config import T5Config

T5X_SAMPLE = T5Config(
    vocab_size=384,
    emb_dim=128,
    num_heads=8,
    num_encoder_layers=2,
    num_decoder_layers=2,
    head_dim=16,
    mlp_dim=256,
    mlp_activations=("gelu", "linear"),
    dropout_rate=0.0,
    scan_layers=False,
)


def read_t5x(checkpoint: pathlib.Path) -> dict[str, np.ndarray]:
    """Arrays of a T5X checkpoint by '/'-joined name; another reader than the one under test."""

    def leaves(node, prefix):
        if isinstance(node, dict) and "kvstore" not in node:
            for key, value in node.items():
                yield from leaves(value, f"{prefix}{key}/")
        else:
            yield prefix[:-1], node

    def read(leaf):
        if isinstance(leaf, np.ndarray):
            return leaf
        path = checkpoint / leaf["kvstore"]["path"].rstrip("/")
        spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": f"{path}/"}}
        return ts.open(spec, read=True).result().read().result()

    packed = flax.serialization.msgpack_restore((checkpoint / "checkpoint").read_bytes())
    return {name: read(leaf) for name, leaf in leaves(packed["optimizer"], "")}
