"""Finished batches of an evaluation, kept on disk so that it can go on after it was killed.

Each batch is told by a hash of all that its results depend on; the parameters are part of it. So
the journal of an evaluation with other questions, or of another checkpoint, answers nothing, and
scoring that was changed since uses what was decoded before.
"""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from flan_jax import agreement

_log = logging.getLogger(__name__)

NAME = "journal.jsonl"


class Journal:
    """Results by key: one line each in a local file, a file each where lines cannot be added.

    With several processes the first one writes, and all read what was there at the start; where
    they do not see the same, none uses it.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: str):
        """Reads what earlier evaluations left.

        Args:
          folder: where it is kept; made at need.
          identity: of the parameters, see `fingerprint`.
        """
        self._folder, self._identity = epath.Path(folder), identity
        self._is_local = "://" not in os.fspath(folder)
        self._writes = jax.process_index() == 0
        self._known: dict[str, Any] = {}
        self.num_used = 0
        if self._folder.exists():
            names = sorted(self._folder.glob("journal*.jsonl"))
            for line in b"".join(path.read_bytes() for path in names).split(b"\n"):
                if (entry := _checked(line)) is not None:
                    self._known[entry[0]] = entry[1]
        if agreement.differing_processes("".join(sorted(self._known))):
            _log.warning("%s differs between processes; it is not used.", self._folder)
            self._known = {}

    def key(self, kind: Any, arrays: Mapping[str, np.ndarray]) -> str:
        """Returns the hash of a batch.

        Args:
          kind: what is done with it; its `repr` must tell all that is not in the arrays.
          arrays: the features.
        """
        digest = hashlib.sha256(repr((self._identity, kind)).encode())
        for name, array in sorted(arrays.items()):
            array = np.ascontiguousarray(array)
            digest.update(repr((name, array.shape, array.dtype.str)).encode())
            digest.update(array.tobytes())
        return digest.hexdigest()[:32]

    def get(self, key: str) -> Any:
        """Returns the JSON value kept under the key, None without one."""
        found = self._known.get(key)
        self.num_used += found is not None
        return found

    def put(self, key: str, value: Any) -> None:
        """Keeps a JSON value; it is on the disk when this returns."""
        self._known[key] = value
        if not self._writes:
            return
        body = json.dumps([key, value])
        line = f"{zlib.crc32(body.encode()):08x} {body}\n".encode()
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._is_local:
            (self._folder / f"journal-{key}.jsonl").write_bytes(line)
            return
        # A line that a kill cut off must not swallow the next one.
        with open(self._folder / NAME, "ab") as file:
            file.write(b"\n" + line)
            file.flush()
            os.fsync(file.fileno())


def _checked(line: bytes) -> tuple[str, Any] | None:
    """A line's key and value; None where it is empty or was not written whole."""
    crc, _, body = line.partition(b" ")
    try:
        if not body or int(crc, 16) != zlib.crc32(body):
            return None
        key, value = json.loads(body)
    except ValueError:
        return None
    return key, value


def fingerprint(params: Any) -> str:
    """Returns 32 hexadecimal digits made of all bits of the parameters.

    Sums of whole numbers that wrap around, so that it is the same on any number of devices.
    """
    sums = jax.device_get(_bit_sums(params))
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        digest.update(repr((jax.tree_util.keystr(path), leaf.shape, str(leaf.dtype))).encode())
    for values in jax.tree.leaves(sums):
        digest.update(np.asarray(values, np.uint32).tobytes())
    return digest.hexdigest()[:32]


@jax.jit
def _bit_sums(params: Any) -> Any:
    """By array: the sum of its bit patterns, and the same weighted by place."""

    def of(x: jax.Array) -> jax.Array:
        width = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[x.dtype.itemsize]
        bits = jax.lax.bitcast_convert_type(x, width).astype(jnp.uint32).reshape(-1)
        # An odd factor keeps the low bits of far places from cancelling.
        weights = jnp.arange(bits.size, dtype=jnp.uint32) * jnp.uint32(2654435761) + 1
        return jnp.stack([bits.sum(dtype=jnp.uint32), (bits * weights).sum(dtype=jnp.uint32)])

    return jax.tree.map(of, params)
