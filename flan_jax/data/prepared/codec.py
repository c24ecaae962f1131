"""One prepared example as bytes.

A MessagePack map: each feature's tokens as little-endian bytes under its name, 2 bytes a token
where all fit and 4 otherwise, and under '' the provenance, a map of what is not in the index.
"""

from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np

PROVENANCE = ""
_SMALL, _LARGE = np.dtype("<u2"), np.dtype("<i4")
# The first byte says which.
_KINDS = {b"2": _SMALL, b"4": _LARGE}


def encode(features: Mapping[str, np.ndarray], provenance: Mapping[str, Any]) -> bytes:
    """Returns the bytes of an example.

    Args:
      features: whole numbers of rank 1 by name.
      provenance: strings and integers by name.
    """
    content: dict[str, Any] = {name: _pack(values) for name, values in features.items()}
    content[PROVENANCE] = dict(provenance)
    packed = msgpack.packb(content)
    assert packed is not None
    return packed


def decode(record: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns the features, int32 of rank 1, and the provenance of an example.

    Raises:
      ValueError: the bytes are none of `encode`.
    """
    try:
        content = msgpack.unpackb(record)
        provenance = content.pop(PROVENANCE)
        features = {name: _unpack(packed) for name, packed in content.items()}
    except (ValueError, KeyError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise ValueError(f"no example: {type(error).__name__}: {error}") from error
    return features, provenance


def _pack(values: np.ndarray) -> bytes:
    small = not len(values) or (values.min() >= 0 and values.max() <= 0xFFFF)
    mark, dtype = (b"2", _SMALL) if small else (b"4", _LARGE)
    return mark + values.astype(dtype).tobytes()


def _unpack(packed: bytes) -> np.ndarray:
    return np.frombuffer(packed, _KINDS[packed[:1]], offset=1).astype(np.int32)
