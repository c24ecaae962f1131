"""Bytes of a training stream's position: what they hold, and for which stream they are valid."""

import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flan_jax import npz_files
from flan_jax.data.config import DatasetConfig
from flan_jax.data.layout import ENCODER_DECODER, RowLayout
from flan_jax.data.mixture import ResolvedMixture
from flan_jax.data.packing import Example
from flan_jax.errors import CheckpointError

# 2: positions count chunks that grow.
_VERSION = 2


def identity_of(
    cfg: DatasetConfig, mixture: ResolvedMixture, layout: RowLayout = ENCODER_DECODER
) -> dict[str, Any]:
    """Everything that decides the rows of a stream, as JSON-able values by readable name.

    The library versions belong to it: TensorFlow's shuffles and saved iterators, and seqio's seeds,
    are only promised within a version.
    """
    import seqio
    import tensorflow as tf

    identity = cfg.stream_fields()
    # Only where it differs, so that runs saved before there was a layout go on.
    if layout != ENCODER_DECODER:
        identity["rows"] = dataclasses.asdict(layout)
    identity["tensorflow"] = tf.__version__
    identity["seqio"] = seqio.__version__
    for share in mixture.shares:
        identity[f"task {share.name}"] = {
            "rate": share.rate,
            "rows": share.task.num_input_examples(cfg.split),
        }
    return identity


@dataclasses.dataclass(frozen=True)
class Header:
    """The first line of a saved state: its stream, its step, and where the snapshot was taken."""

    identity: dict[str, Any]
    step: int
    snapshot_step: int


def join(header: Header, content: bytes) -> bytes:
    """Returns the saved state: the header as one JSON line, then the snapshot."""
    return (
        json.dumps({"version": _VERSION, **dataclasses.asdict(header)}).encode() + b"\n" + content
    )


def split(state: bytes) -> tuple[Header, bytes]:
    """Takes `join`'s bytes apart.

    Raises:
      CheckpointError: they are damaged or of another format.
    """
    line, _, content = state.partition(b"\n")
    try:
        fields = json.loads(line)
        version = fields.pop("version")
        if version == _VERSION:
            return Header(**fields), content
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"The saved data position cannot be read ({type(error).__name__}: {error}). Resume "
            "from an earlier checkpoint."
        ) from error
    raise CheckpointError(
        f"The saved data position has format {version!r}, and this version of flan-jax reads "
        f"{_VERSION}. Resume with the version that wrote it."
    )


def check_identity(saved: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Refuses a state of another stream.

    Raises:
      CheckpointError: names each difference with both values.
    """
    names = [name for name in {**saved, **current} if saved.get(name) != current.get(name)]
    if names:
        lines = [
            f"  {name}: {saved.get(name, 'absent')} when saved, {current.get(name, 'absent')} now"
            for name in names
        ]
        raise CheckpointError(
            "The saved data position belongs to another stream of rows:\n"
            + "\n".join(lines)
            + "\nResume with the old values, or start a new MODEL_DIR with "
            "INITIAL_CHECKPOINT_PATH set to the checkpoint."
        )


def examples_to_arrays(prefix: str, examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """Returns examples as flat arrays whose names start with `prefix`."""
    none = [np.zeros(0, np.int32)]
    weights = [example.weights for example in examples if example.weights is not None]
    weighted = {}
    if weights:  # Only where there are any: few tasks have some.
        has_any = [example.weights is not None for example in examples]
        weighted = {f"{prefix}/weighted": np.array(has_any)}
        weighted[f"{prefix}/weights"] = np.concatenate(weights)
    return {
        **weighted,
        f"{prefix}/task": np.array([example.task_id for example in examples], np.int32),
        f"{prefix}/flags": np.array([example.flags for example in examples], np.int32),
        f"{prefix}/sizes": np.array(
            [(len(example.inputs), len(example.targets)) for example in examples], np.int64
        ).reshape(-1, 2),
        f"{prefix}/inputs": np.concatenate([example.inputs for example in examples] or none),
        f"{prefix}/targets": np.concatenate([example.targets for example in examples] or none),
    }


def examples_from_arrays(prefix: str, arrays: Mapping[str, np.ndarray]) -> list[Example]:
    """Undoes `examples_to_arrays`."""
    sizes_Ex2 = arrays[f"{prefix}/sizes"]
    ends_Ex2 = np.cumsum(sizes_Ex2, axis=0)[:-1]
    if not len(sizes_Ex2):
        return []
    inputs = np.split(arrays[f"{prefix}/inputs"], ends_Ex2[:, 0])
    targets = np.split(arrays[f"{prefix}/targets"], ends_Ex2[:, 1])
    tasks, flags = arrays[f"{prefix}/task"].tolist(), arrays[f"{prefix}/flags"].tolist()
    weights: list[np.ndarray | None] = [None] * len(tasks)
    if f"{prefix}/weighted" in arrays:
        owners = np.flatnonzero(arrays[f"{prefix}/weighted"])
        ends = np.cumsum(sizes_Ex2[owners, 1])[:-1]
        for owner, values in zip(owners, np.split(arrays[f"{prefix}/weights"], ends), strict=True):
            weights[owner] = values
    return [Example(*fields) for fields in zip(tasks, inputs, targets, flags, weights, strict=True)]


def to_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns arrays as a compressed npz."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def from_bytes(content: bytes) -> dict[str, np.ndarray]:
    """Undoes `to_bytes`.

    Raises:
      CheckpointError: the bytes are damaged.
    """
    try:
        return npz_files.read_arrays(io.BytesIO(content))
    except Exception as error:
        # A cut or altered zip file fails in many ways.
        raise CheckpointError(
            f"The saved data position is damaged ({type(error).__name__}: {error}). Resume from "
            "an earlier checkpoint."
        ) from error
