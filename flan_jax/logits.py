"""`flan-jax logits`: float32 logits of a checkpoint for given token arrays, to compare models."""

import argparse
import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from flan_jax import checkpoint as checkpoint_lib
from flan_jax import evaluate, gin_trust, npz_files
from flan_jax.data.layout import ENCODER_DECODER, RowLayout
from flan_jax.errors import DataError, suggest
from flan_jax.interop import model_gin
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.base import BaseModel

_DECODER = ("decoder_input_tokens", "decoder_target_tokens")
_DECODER_PACKED = ("decoder_segment_ids", "decoder_positions")
_ENCODER_PACKED = ("encoder_segment_ids", "encoder_positions")
_NOT_READ = ("decoder_loss_weights", "decoder_task_ids")


def read_batch(
    path: str | os.PathLike[str], vocab_size: int, layout: RowLayout = ENCODER_DECODER
) -> dict[str, np.ndarray]:
    """Reads and checks token arrays under T5X's feature names.

    Args:
      path: `.npz` with `encoder_input_tokens` BxL, `decoder_input_tokens` and
        `decoder_target_tokens` BxT; packed rows have all four segment id and position features
        besides. For a decoder alone there are only its features, and perhaps
        `decoder_causal_attention`, read where inputs see each other both ways. Whole numbers of
        any integer dtype.
      vocab_size: rows of the model's embedding table; token ids are below it.
      layout: the model's `row_layout`.

    Returns:
      int32 arrays.

    Raises:
      DataError: the file is missing or unreadable, a feature is missing, unknown, or of the wrong
        dtype, shape or range.
    """
    try:
        arrays = npz_files.read_arrays(path)
    except FileNotFoundError:
        raise DataError(f"There is no file {path}: --batch is an .npz of token arrays.") from None
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise DataError(
            f"{path} could not be read as an .npz: {error}. Write it with numpy.savez."
        ) from error
    alone = layout.decoder_only
    required = _DECODER if alone else ("encoder_input_tokens", *_DECODER)
    if_packed = _DECODER_PACKED if alone else (*_ENCODER_PACKED, *_DECODER_PACKED)
    prefix = ("decoder_causal_attention",) if alone else ()
    optional = prefix if layout.bidirectional_inputs else ()
    known = (*required, *if_packed, *prefix, *_NOT_READ)
    for name in arrays:
        if name not in known:
            raise DataError(
                f"{path}: there is no feature {name!r}.{suggest(name, known)} Known are "
                f"{', '.join(known)}."
            )
    packed = [name for name in if_packed if name in arrays]
    wanted = [*required, *(if_packed if packed else ())]
    if missing := [name for name in wanted if name not in arrays]:
        why = ""
        if packed:
            every = "both" if alone else "all four"
            why = f" (packed rows, because it has {packed[0]!r}, need {every})"
        raise DataError(f"{path} lacks {', '.join(missing)}{why}; it has {', '.join(arrays)}.")
    wanted += [name for name in optional if name in arrays]
    first = arrays[required[0]].shape
    shapes = {"encoder": first, "decoder": first[:1] + arrays["decoder_input_tokens"].shape[1:]}
    for name in wanted:
        _check(path, name, arrays[name], shapes[name.split("_")[0]], vocab_size)
    return {name: arrays[name].astype(np.int32) for name in wanted}


def _check(
    path: Any, name: str, array: np.ndarray, shape: tuple[int, ...], vocab_size: int
) -> None:
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{path}: {name} is {array.dtype}; token arrays are whole numbers (int32).")
    if array.ndim != 2 or array.shape != shape or not array.size:
        side = "rows x encoder" if name.startswith("encoder") else "rows x decoder"
        raise DataError(
            f"{path}: {name} has shape {array.shape}; expected two dimensions, {side} length, the "
            f"same for all features of that side{f' ({shape})' if len(shape) == 2 else ''}."
        )
    low, high = int(array.min()), int(array.max())
    most = vocab_size - 1 if name.endswith("tokens") else np.iinfo(np.int32).max
    if low < 0 or high > most:
        raise DataError(
            f"{path}: {name} holds numbers from {low} to {high}; allowed are 0 to {most}"
            f"{' (the vocabulary of the model)' if name.endswith('tokens') else ''}."
        )


def write_logits(
    model: BaseModel,
    checkpoint: str,
    batch_npz: str | os.PathLike[str],
    output_npz: str | os.PathLike[str],
    partitioner: PjitPartitioner | None = None,
) -> np.ndarray:
    """Runs the model on a batch file and writes `logits`, float32 BxTxV, dropout off.

    Args:
      model: the network of the checkpoint.
      checkpoint: of ours, T5X's or a Hugging Face directory.
      batch_npz: see `read_batch`.
      output_npz: where to write; its folder is made.
      partitioner: the mesh; one device by default. Rows are padded to a multiple of its divisor.

    Raises:
      DataError, CheckpointError: see `read_batch` and `checkpoint.restore_params`.
    """
    batch = read_batch(batch_npz, model.config.vocab_size, model.row_layout)
    if partitioner is None:
        partitioner = PjitPartitioner(devices=1)
    cfg = checkpoint_lib.RestoreCheckpointConfig(checkpoint)
    params, _, _ = evaluate.restore(model, partitioner, cfg)
    logits_BxTxV = compute(model, params, partitioner, batch)
    path = pathlib.Path(output_npz)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:  # np.savez would add '.npz' to another name.
        np.savez(file, logits=logits_BxTxV)
    print(f"wrote {path}: logits float32 {'x'.join(map(str, logits_BxTxV.shape))}")
    return logits_BxTxV


def compute(
    model: BaseModel,
    params: Any,
    partitioner: PjitPartitioner,
    batch: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Float32 logits BxTxV of a checked batch of any number of rows."""
    rows = next(iter(batch.values())).shape[0]
    extra = -rows % partitioner.batch_divisor
    padded = {name: np.pad(array, ((0, extra), (0, 0))) for name, array in batch.items()}
    with partitioner.activate():
        logits_BxTxV = jax.jit(model.logits)(params, partitioner.put_batch(padded))
    return np.asarray(logits_BxTxV, np.float32)[:rows]


def logits_command(args: argparse.Namespace) -> None:
    """`flan-jax logits`: the model is that of the gin files, else of the checkpoint."""
    checkpoint = evaluate.absolute(args.checkpoint)
    given = args.gin_file, args.gin_bindings, args.gin_search_paths
    trust = gin_trust.of_flags(args)
    model = model_gin.parse_model(checkpoint, *given, trust=trust)
    write_logits(model, checkpoint, args.batch, args.output)
