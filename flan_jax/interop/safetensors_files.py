"""Reading and writing safetensors files piece by piece.

A file is: 8 bytes, the length N of the header (little endian); N bytes of JSON, name -> dtype,
shape and first and last byte counted from the end of the header; the arrays, without gaps,
row-major and little endian. The safetensors package reads and writes whole files or maps them into
memory; here a tensor never takes more memory than itself, and buckets work as local disks do.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from etils import epath

from flan_jax.errors import CheckpointError
from flan_jax.interop.source import Index, Source, Stored

_DTYPES: dict[str, Any] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_MOST_HEADER_BYTES = 100 << 20
_BLOCK_BYTES = 64 << 20
_LENGTH_BYTES = 8


class SafetensorsSource(Source):
    """The arrays of one or more files, such as the shards of a model."""

    def __init__(self, where: str, files: Sequence[epath.Path]):
        """Reads the headers and checks them against the sizes of the files.

        Args:
          where: what messages call the files together.
          files: paths.

        Raises:
          CheckpointError: a file is cut, is not safetensors, or two hold the same name.
        """
        self.where = where
        self._places: dict[str, tuple[epath.Path, int, int]] = {}
        self.arrays = arrays = {}
        self.metadata: dict[str, str] = {}
        for path in files:
            header, start, metadata = read_header(path)
            self.metadata |= metadata
            for name, (stored, first, last) in header.items():
                if name in arrays:
                    raise CheckpointError(
                        f"{name} is in {path.name} and in {self._places[name][0].name}. The shards "
                        "are not of one model; copy them again."
                    )
                arrays[name] = stored
                self._places[name] = (path, start + first, start + last)

    def read_into(self, name: str, index: Index, out: np.ndarray) -> None:
        """See `Source`. Reads whole rows, some at a time."""
        stored = self.arrays[name]
        path, start, _ = self._places[name]
        if not stored.shape:
            with path.open("rb") as file:
                file.seek(start)
                out[...] = np.frombuffer(file.read(stored.nbytes), stored.dtype).reshape(())
            return
        rows, *rest = index
        row_bytes = stored.nbytes // max(stored.shape[0], 1)
        step = max(1, _BLOCK_BYTES // max(row_bytes, 1))
        with path.open("rb") as file:
            for first in range(rows.start, rows.stop, step):
                last = min(first + step, rows.stop)
                file.seek(start + first * row_bytes)
                data = file.read((last - first) * row_bytes)
                if len(data) != (last - first) * row_bytes:
                    raise CheckpointError(f"{path} ends within {name}. Copy the file again.")
                block = np.frombuffer(data, stored.dtype).reshape(-1, *stored.shape[1:])
                out[first - rows.start : last - rows.start] = block[(slice(None), *rest)]


def read_header(
    path: epath.Path,
) -> tuple[dict[str, tuple[Stored, int, int]], int, dict[str, str]]:
    """Reads and checks the header of a file.

    Returns:
      Name -> (shape and dtype, first byte, byte after the last), counted from the second value;
      that value, where the arrays begin; and the file's own metadata.

    Raises:
      CheckpointError: the file is missing, cut or not safetensors.
    """
    if not path.exists():
        raise CheckpointError(f"{path} is missing.")
    size_bytes = path.stat().length
    with path.open("rb") as file:
        length_bytes = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size_bytes < _LENGTH_BYTES or length_bytes > _MOST_HEADER_BYTES:
            raise CheckpointError(
                f"{path} is not a safetensors file: its header would be {length_bytes:,} bytes."
            )
        text = file.read(length_bytes)
    start = _LENGTH_BYTES + length_bytes
    try:
        content = json.loads(text)
        metadata = content.pop("__metadata__", {})
        header = {name: _entry(entry) for name, entry in content.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is cut or not a safetensors file: its header cannot be read ({error})."
        ) from error
    end = 0
    for name, (stored, first, last) in sorted(header.items(), key=lambda item: item[1][1:]):
        known = isinstance(stored.dtype, np.dtype)
        if first != end or (known and last - first != stored.nbytes):
            raise CheckpointError(
                f"{path}: the header gives {name} ({stored.dtype}, {stored.shape}) the bytes "
                f"{first:,} to {last:,}, which do not fit. The file is damaged; copy it again."
            )
        end = last
    if start + end != size_bytes:
        what = "cut" if size_bytes < start + end else "longer than its header says"
        raise CheckpointError(
            f"{path} is {what}: {size_bytes:,} bytes instead of {start + end:,}. Copy it again."
        )
    return header, start, dict(metadata or {})


def _entry(entry: Mapping[str, Any]) -> tuple[Stored, int, int]:
    first, last = entry["data_offsets"]
    shape = tuple(int(size) for size in entry["shape"])
    dtype = _DTYPES.get(entry["dtype"], str(entry["dtype"]))
    return Stored(shape, dtype), int(first), int(last)


# ---------------------------------------------------------------------------- writing


def write(
    path: epath.Path,
    arrays: Mapping[str, Stored],
    read: Callable[[str], np.ndarray],
    metadata: Mapping[str, str],
) -> None:
    """Writes one file, holding one array at a time in memory.

    Args:
      path: the file.
      arrays: name -> shape and dtype, in the order of the file.
      read: name -> the array.
      metadata: of the file, such as `{'format': 'pt'}`.
    """
    content: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, stored in arrays.items():
        content[name] = {
            "dtype": _NAMES[np.dtype(stored.dtype)],
            "shape": list(stored.shape),
            "data_offsets": [end, end + stored.nbytes],
        }
        end += stored.nbytes
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # The arrays begin at a multiple of 8 bytes.
    with path.open("wb") as file:
        file.write(len(text).to_bytes(_LENGTH_BYTES, "little"))
        file.write(text)
        for name, stored in arrays.items():
            array = np.asarray(read(name), order="C")
            assert array.shape == stored.shape and array.dtype == stored.dtype, name
            for block in _blocks(array):
                file.write(block)


def _blocks(array: np.ndarray) -> Iterator[bytes]:
    data = array.reshape(-1).view(np.uint8)
    for first in range(0, data.size, _BLOCK_BYTES):
        yield data[first : first + _BLOCK_BYTES].tobytes()


def shards(arrays: Mapping[str, Stored], most_bytes: int) -> list[tuple[str, dict[str, Stored]]]:
    """Splits arrays over files of at most so many bytes each, in their order.

    Returns:
      Pairs of the file's name and its arrays; a single file is named `model.safetensors`.
    """
    groups: list[dict[str, Stored]] = [{}]
    filled = 0
    for name, stored in arrays.items():
        if groups[-1] and filled + stored.nbytes > most_bytes:
            groups.append({})
            filled = 0
        groups[-1][name] = stored
        filled += stored.nbytes
    if len(groups) == 1:
        return [("model.safetensors", groups[0])]
    count = len(groups)
    return [
        (f"model-{i:05d}-of-{count:05d}.safetensors", group) for i, group in enumerate(groups, 1)
    ]
