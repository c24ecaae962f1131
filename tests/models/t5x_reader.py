"""Reads the parameters of a T5X checkpoint in its own format, for comparison with our model.

A checkpoint folder holds a msgpack file `checkpoint`. A leaf of its tree is an array, or a
description of a zarr array that lies beside the file.
"""

import pathlib

import flax.serialization
import numpy as np
import tensorstore


def read_params(folder: pathlib.Path) -> dict:
    """The tree under 'target': numpy float32 arrays under T5X's parameter names."""
    packed = flax.serialization.msgpack_restore((folder / "checkpoint").read_bytes())
    return _read(packed["optimizer"]["target"], folder)


def _read(node: dict | np.ndarray, folder: pathlib.Path) -> dict | np.ndarray:
    if isinstance(node, np.ndarray):
        return node
    if "kvstore" in node:
        # The stored bucket or drive is that of the writer; only the last part of the path holds.
        path = folder / node["kvstore"]["path"].rstrip("/")
        spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": f"{path}/"}}
        return tensorstore.open(spec, read=True).result().read().result()
    return {key: _read(value, folder) for key, value in node.items()}
