"""Checkpoints whose arrays lie in TensorStore: T5X's own format, and items written by Orbax.

T5X's own format: `checkpoint` is a msgpack file with a tree whose leaves are arrays, or
descriptions of a zarr array that lies in a folder beside it. An Orbax item: `_METADATA` is JSON
with the names, and the arrays are zarr arrays in one OCDBT database or in a folder each.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np
import tensorstore as ts
from etils import epath

from flan_jax.errors import CheckpointError
from flan_jax.interop import storage
from flan_jax.interop.source import Index, Source, Stored

T5X_VERSION = 3
_OPENED_AT_ONCE = 256
_ZEROS_STORED = "store_array_data_equal_to_fill_value"
# What Orbax calls leaves that have no array: empty nodes, None and texts.
_NOT_ARRAYS = ("None", "Dict", "List", "Tuple", "str", "string")


class StoreSource(Source):
    """Arrays in TensorStore, and small ones in memory."""

    def __init__(self, where: str, specs: Mapping[str, dict], inline: Mapping[str, np.ndarray]):
        """Opens the arrays, which reads their shapes.

        Args:
          where: the path, for messages.
          specs: name -> TensorStore spec.
          inline: name -> array.

        Raises:
          CheckpointError: an array is missing or not of the kind the spec says.
        """
        self.where = where
        self._inline = dict(inline)
        self._stores = _open_all(where, specs)
        self.arrays = {name: Stored(x.shape, x.dtype) for name, x in self._inline.items()} | {
            name: Stored(tuple(store.shape), store.dtype.numpy_dtype)
            for name, store in self._stores.items()
        }

    def read_into(self, name: str, index: Index, out: np.ndarray) -> None:
        """See `Source`."""
        if name in self._inline:
            out[...] = self._inline[name][index]
            return
        store = self._stores[name][index]
        try:
            # Chunks are decoded straight into `out`, whatever its strides.
            ts.array(out, copy=False).write(ts.cast(store, ts.dtype(out.dtype))).result()
        except ValueError as error:
            raise CheckpointError(
                f"{self.where}: {name} cannot be read: {_short(error)}"
            ) from error

    def spec(self, name: str) -> dict[str, Any] | None:
        """Returns the TensorStore spec of an array with its metadata; None if it is inline."""
        return self._stores[name].spec().to_json() if name in self._stores else None


def _open_all(where: str, specs: Mapping[str, dict]) -> dict[str, Any]:
    stores: dict[str, Any] = {}
    names = list(specs)
    # One context for all: an OCDBT database is then opened once.
    context = ts.Context({"file_io_concurrency": {"limit": 64}})
    for first in range(0, len(names), _OPENED_AT_ONCE):
        some = names[first : first + _OPENED_AT_ONCE]
        try:
            futures = {n: ts.open(ts.Spec(specs[n]), read=True, context=context) for n in some}
        except ValueError as error:
            raise CheckpointError(f"{where} cannot be opened: {_short(error)}.") from error
        for name, future in futures.items():
            try:
                stores[name] = future.result()
            except ValueError as error:
                raise CheckpointError(
                    f"{where}: the array {name} cannot be opened: {_short(error)}. A file is "
                    "missing or damaged; copy the checkpoint again."
                ) from error
    return stores


def _short(error: Exception) -> str:
    """The cause without TensorStore's list of where it arose."""
    return str(error).split(" [", 1)[0].split("\n", 1)[0]


# -------------------------------------------------------------------- T5X's own format


def open_t5x(directory: epath.PathLike, prefix: str = "") -> StoreSource:
    """Opens a T5X checkpoint in its own format: `target/...` and `state/...`.

    Args:
      directory: a `checkpoint_<step>` folder, local or in a bucket.
      prefix: only arrays whose name begins so are opened.

    Raises:
      CheckpointError: a file is missing or damaged, or the version is another one.
    """
    folder = epath.Path(directory)
    packed = read_msgpack(folder / "checkpoint")
    version, tree = packed.get("version"), packed.get("optimizer")
    if version != T5X_VERSION or not isinstance(tree, dict):
        raise CheckpointError(
            f"{folder / 'checkpoint'} has version {version!r} and the keys "
            f"{', '.join(map(str, packed))}; expected T5X's version {T5X_VERSION} with 'optimizer'."
            " Open it with T5X and save it again."
        )
    specs: dict[str, dict] = {}
    inline: dict[str, np.ndarray] = {}
    for name, leaf in _leaves(tree):
        if not name.startswith(prefix):
            continue
        if isinstance(leaf, dict):
            specs[name] = _placed(leaf, folder, name)
            # A chunk of zeros is not stored, so only where zeros are usual may one be missing.
            specs[name]["fill_missing_data_reads"] = name.endswith("/bias")
        elif isinstance(leaf, np.ndarray | np.generic | int | float | complex):
            inline[name] = np.asarray(leaf)
        elif leaf is not None:
            raise CheckpointError(
                f"{folder / 'checkpoint'}: {name} is a {type(leaf).__name__}; expected an array."
            )
    return StoreSource(str(folder), specs, inline)


def read_msgpack(path: epath.Path) -> dict[str, Any]:
    """Returns the tree of a msgpack file as flax writes them.

    Raises:
      CheckpointError: it is missing, cut or of another kind.
    """
    from flax import serialization

    try:
        tree = serialization.msgpack_restore(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing.") from None
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise CheckpointError(
            f"{path} is not a whole msgpack file: {error or type(error).__name__}. Copy it again."
        ) from error
    if not isinstance(tree, dict):
        raise CheckpointError(f"{path} holds a {type(tree).__name__}; expected a dict of arrays.")
    return tree


def _leaves(node: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Arrays and specs by '/'-joined name; empty dicts have none."""
    if not isinstance(node, dict) or "kvstore" in node:
        return [(prefix[:-1], node)]
    return [leaf for key, value in node.items() for leaf in _leaves(value, f"{prefix}{key}/")]


def _placed(spec: dict, folder: epath.Path, name: str) -> dict[str, Any]:
    """The spec with the place of this folder: stored ones name the drive they were written to."""
    if spec.get("driver") != "zarr":
        raise CheckpointError(
            f"{folder}: the array {name} is stored as {spec.get('driver')!r}; expected 'zarr'."
        )
    # Before TensorStore 0.1.14 the path stood beside the key-value store, not in it.
    path = spec["kvstore"].get("path", spec.get("path"))
    driver = spec["kvstore"].get("driver")
    if path is None or driver not in ("file", "gfile", "gcs"):
        raise CheckpointError(
            f"{folder}: the array {name} is stored with driver {driver!r} and path {path!r}; "
            "expected 'file', 'gfile' or 'gcs' and a path."
        )
    placed = copy.deepcopy(spec)
    placed.pop("path", None)
    # The metadata are read from the array; a copy of them only has to agree.
    placed.pop("metadata", None)
    placed.pop("context", None)
    last = str(path).rstrip("/").rsplit("/", 1)[-1]
    if last in ("", ".", ".."):
        raise CheckpointError(
            f"{folder}: the array {name} is stored at {path!r}, which is no place."
        )
    placed["kvstore"] = storage.kvstore(folder / last)
    placed["kvstore"]["path"] += "/"
    return placed


# ----------------------------------------------------------------------- items of Orbax


def open_orbax(item: epath.PathLike, where: str, prefix: str = "") -> StoreSource:
    """Opens an item of arrays written by Orbax.

    Args:
      item: the folder with `_METADATA`.
      where: what messages call it.
      prefix: only arrays whose name begins so are opened.

    Raises:
      CheckpointError: a file is missing or damaged, or holds something else.
    """
    folder = epath.Path(item)
    metadata = read_json(folder / "_METADATA")
    driver = "zarr3" if metadata.get("use_zarr3") else "zarr"
    specs: dict[str, dict] = {}
    try:
        for entry in metadata["tree_metadata"].values():
            keys = [str(part["key"]) for part in entry["key_metadata"]]
            kind = entry["value_metadata"]["value_type"]
            if kind in _NOT_ARRAYS or not "/".join(keys).startswith(prefix):
                continue
            if metadata.get("use_ocdbt", True):
                store = {"driver": "ocdbt", "base": storage.kvstore(folder), "path": ".".join(keys)}
                store["base"]["path"] += "/"
            else:
                name = ".".join(keys)
                if name.startswith("/") or ".." in name.split("/"):
                    raise CheckpointError(f"{folder / '_METADATA'} names an array {name!r}.")
                store = storage.kvstore(folder / name)
            store["path"] += "/"
            specs["/".join(keys)] = {
                "driver": driver,
                "kvstore": store,
                "fill_missing_data_reads": not metadata.get(_ZEROS_STORED, False),
            }
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{folder / '_METADATA'} is not what Orbax writes: {error!r} is missing or of another "
            "kind."
        ) from error
    return StoreSource(where, specs, {})


def read_json(path: epath.Path) -> dict[str, Any]:
    """Returns a JSON object.

    Raises:
      CheckpointError: the file is missing or not JSON.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing.") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is not whole JSON: {error}. Copy it again.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}; expected an object.")
    return content
