"""`flan-jax logits`: float32 logits of a checkpoint for given token arrays, to compare models."""

import argparse
import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from etils import epath

from flan_jax import checkpoint as checkpoint_lib
from flan_jax import evaluate, gin_utils
from flan_jax.errors import ConfigError, DataError, suggest
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.encoder_decoder import EncoderDecoderModel

_REQUIRED = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")
_PACKED = (
    "encoder_segment_ids",
    "encoder_positions",
    "decoder_segment_ids",
    "decoder_positions",
)
_NOT_READ = ("decoder_loss_weights", "decoder_task_ids")


def read_batch(path: str | os.PathLike[str], vocab_size: int) -> dict[str, np.ndarray]:
    """Reads and checks token arrays under T5X's feature names.

    Args:
      path: `.npz` with `encoder_input_tokens` BxL, `decoder_input_tokens` and
        `decoder_target_tokens` BxT; packed rows have all four segment id and position features
        besides. Whole numbers of any integer dtype.
      vocab_size: rows of the model's embedding table; token ids are below it.

    Returns:
      int32 arrays.

    Raises:
      DataError: the file is missing or unreadable, a feature is missing, unknown, or of the wrong
        dtype, shape or range.
    """
    try:
        with np.load(path) as content:
            arrays = {name: content[name] for name in content.files}
    except FileNotFoundError:
        raise DataError(f"There is no file {path}: --batch is an .npz of token arrays.") from None
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise DataError(
            f"{path} could not be read as an .npz: {error}. Write it with numpy.savez."
        ) from error
    known = (*_REQUIRED, *_PACKED, *_NOT_READ)
    for name in arrays:
        if name not in known:
            raise DataError(
                f"{path}: there is no feature {name!r}.{suggest(name, known)} Known are "
                f"{', '.join(known)}."
            )
    packed = [name for name in _PACKED if name in arrays]
    wanted = [*_REQUIRED, *(_PACKED if packed else ())]
    if missing := [name for name in wanted if name not in arrays]:
        why = f" (packed rows, because it has {packed[0]!r}, need all four)" if packed else ""
        raise DataError(f"{path} lacks {', '.join(missing)}{why}; it has {', '.join(arrays)}.")
    rows = arrays["encoder_input_tokens"].shape[:1]
    shapes = {
        "encoder": arrays["encoder_input_tokens"].shape,
        "decoder": rows + arrays["decoder_input_tokens"].shape[1:],
    }
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
    model: EncoderDecoderModel,
    checkpoint: str,
    batch_npz: str | os.PathLike[str],
    output_npz: str | os.PathLike[str],
    partitioner: PjitPartitioner | None = None,
) -> np.ndarray:
    """Runs the model on a batch file and writes `logits`, float32 BxTxV, dropout off.

    Args:
      model: the network of the checkpoint.
      checkpoint: a MODEL_DIR or a checkpoint directory.
      batch_npz: see `read_batch`.
      output_npz: where to write; its folder is made.
      partitioner: the mesh; one device by default. Rows are padded to a multiple of its divisor.

    Raises:
      DataError, CheckpointError: see `read_batch` and `checkpoint.restore_params`.
    """
    batch = read_batch(batch_npz, model.config.vocab_size)
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
    model: EncoderDecoderModel,
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
    """`flan-jax logits`: the model is that of the gin files, else of the checkpoint's run."""
    files = list(args.gin_file)
    checkpoint = evaluate.absolute(args.checkpoint)
    if not files:
        stored = epath.Path(evaluate.run_of(checkpoint)) / gin_utils.CONFIG_NAME
        if not stored.exists():
            raise ConfigError(
                f"The model of {args.checkpoint} is not known: there is no {stored}. Name a model "
                "file, e.g. --gin_file=models/t5_1_1_small.gin"
            )
        files = [str(stored)]
    gin_utils.parse(files, args.gin_bindings, args.gin_search_paths, entry="%MODEL")
    model = gin_utils.macro_value("MODEL")
    write_logits(model, checkpoint, args.batch, args.output)
