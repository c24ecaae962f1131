"""`flan-jax export --format=t5x`: T5X's own checkpoint format, layers unscanned.

`OUTPUT/checkpoint_<step>/checkpoint` is a msgpack file: version, `target` (parameters) and `state`
(step and Adafactor's slots). Arrays that a mesh splits are zarr arrays in folders beside it, and
stand in the file as their TensorStore description; the others stand in it themselves.
"""

import itertools
import math
from typing import Any

import numpy as np
import tensorstore as ts
from etils import epath

from flan_jax import checkpoint_arrays
from flan_jax.interop import compare, names, storage, stores
from flan_jax.interop.exporting import Request
from flan_jax.interop.source import Source
from flan_jax.interop.stores import T5X_VERSION

_CHUNK_BYTES = 64 << 20
_COMPRESSOR = {"id": "gzip", "level": 1}
# What T5X writes in place of a bucket, so that the file holds wherever it is copied.
_BUCKET = "t5x-dummy-bucket"
_SLOTS = ("m", "v", "v_row", "v_col")


def export(request: Request) -> None:
    """Writes `OUTPUT/checkpoint_<step>`; see `Request`."""
    from flax import serialization

    bound = request.bound()
    dtype = names.numpy_dtype(request.dtype or "float32")
    slots, why_not = _optimizer(request, bound)
    with storage.written_whole(request.output) as folder:
        directory = folder / f"checkpoint_{request.step}"
        directory.mkdir(parents=True, exist_ok=True)
        target: dict[str, Any] = {}
        state: dict[str, Any] = {"step": np.asarray(request.step, np.int32)}
        # By our arrays, so that a stack of layers is brought to the host once.
        for name in sorted(bound.places, key=lambda n: (bound.places[n].theirs, len(n), n)):
            array = bound.read(name).astype(dtype)
            target[name] = _write(directory, f"target/{name}", array)
        if slots is not None:
            state |= _write_slots(directory, slots)
        tree = {
            "target": checkpoint_arrays.nested(target),
            "state": checkpoint_arrays.nested(state),
        }
        # Last: without it nothing reads the rest.
        packed = serialization.msgpack_serialize({"version": T5X_VERSION, "optimizer": tree})
        (directory / "checkpoint").write_bytes(packed)
        if request.compare_logits:
            exact = dtype == np.float32
            compare.check(
                request.model, request.params, request.partitioner, directory, request.say, exact
            )
    what = "with the state of Adafactor" if slots is not None else f"step alone: {why_not}"
    request.say(
        f"wrote {request.output / f'checkpoint_{request.step}'}: {len(target)} parameters in "
        f"{dtype.name}, optimizer {what}"
    )


def _write_slots(directory: epath.Path, slots: Source) -> dict[str, Any]:
    """Writes Adafactor's arrays; those of a parameter's shape lie in folders, the others inline."""
    state = {}
    for name in slots.arrays:
        array = slots.read(name)
        path = name.removeprefix("opt_state/")
        in_folder = name.endswith(("/v", "/m")) and array.shape != (1,)
        state[path] = _write(directory, f"state/{path}", array) if in_folder else array
    return state


def _write(directory: epath.Path, name: str, array: np.ndarray) -> dict[str, Any]:
    """Writes an array to its folder; returns the description that the msgpack file has of it."""
    path = storage.dotted(name) + "/"
    dtype = array.dtype.name
    metadata = {
        "chunks": chunk_shape(array.shape, array.dtype.itemsize),
        "compressor": _COMPRESSOR,
        "shape": list(array.shape),
    }
    place = storage.kvstore(directory / storage.dotted(name))
    place["path"] += "/"
    spec = {"driver": "zarr", "dtype": dtype, "kvstore": place, "metadata": metadata}
    # Zeros too, so that a chunk that is missing is a chunk that was lost.
    spec["store_data_equal_to_fill_value"] = True
    ts.open(ts.Spec(spec), create=True).result().write(array).result()
    relative = {"driver": "file", "path": path}
    if storage.is_remote(directory):
        relative = {"driver": "gcs", "bucket": _BUCKET, "path": path}
    return {"driver": "zarr", "dtype": dtype, "kvstore": relative, "metadata": metadata}


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> list[int]:
    """Returns T5X's chunks: at most 64 MiB, dividing the shape, the longest side cut first.

    Args:
      shape: of the array.
      itemsize: bytes of an element.
    """
    chunks = list(shape)
    while math.prod(chunks) * itemsize > _CHUNK_BYTES:
        longest = chunks.index(max(chunks))
        size = shape[longest]
        more = itertools.count(size // chunks[longest] + 1)
        chunks[longest] = next(size // parts for parts in more if size % parts == 0)
    return chunks


def _optimizer(request: Request, bound: names.Bound) -> tuple[Source | None, str]:
    """The optimizer's arrays if they are T5X's exactly, else why they are not."""
    if any(place.layer is not None for place in bound.places.values()):
        return None, "the layers are scanned, and Adafactor treats a stack in another way"
    item = request.directory / "train"
    if not item.exists():
        return None, "the checkpoint has parameters alone"
    source = stores.open_orbax(item, str(request.directory), prefix="opt_state/param_states/")
    expected = {f"opt_state/param_states/{name}/{slot}" for name in bound.places for slot in _SLOTS}
    if set(source.arrays) != expected:
        return None, "it is not an Adafactor over all parameters"
    return source, ""
