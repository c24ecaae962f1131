"""The logits comparison that ends every import and export: same fixed tokens, two readers.

A Hugging Face directory is run by transformers where that is installed. A T5X checkpoint is read
again whole, by its own names and in its own layout, without the part-by-part reading that carries
it over.
"""

import copy
import dataclasses
import importlib.util
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from etils import epath

from flan_jax import checkpoint_arrays, logits
from flan_jax.errors import CheckpointError
from flan_jax.interop import detect
from flan_jax.interop.opened import Opened, open_found
from flan_jax.mesh import PjitPartitioner

Say = Callable[[str], None]

MOST_DIFFERENCE = 1e-3
_SEED = 20220
_INPUTS, _TARGETS = (24, 15), (12, 7)


def check(
    model: Any,
    params: Any,
    partitioner: PjitPartitioner,
    other: epath.PathLike,
    say: Say,
    refuse: bool = True,
) -> float | None:
    """Compares logits of our parameters with those of a checkpoint of another library.

    Args:
      model: ours.
      params: parameter tree on the mesh.
      partitioner: the mesh.
      other: the checkpoint.
      say: receives a sentence with the largest difference, or why nothing was compared.
      refuse: whether a difference above `MOST_DIFFERENCE` is an error, not only said.

    Returns:
      The largest difference; None if nothing was compared.

    Raises:
      CheckpointError: it is above `MOST_DIFFERENCE`, or the other library cannot read its files.
    """
    found = open_found(detect.detect(other))
    why_not = _why_not(found, params)
    if why_not is not None:
        say(f"logits not compared: {why_not}")
        return None
    batch = fixed_batch(model.row_layout.decoder_only, model.config.vocab_size)
    ours = logits.compute(in_float32(model), params, partitioner, batch)
    reader, theirs = _theirs(found, model, batch)
    real = batch["decoder_target_tokens"] > 0
    tokens = min(ours.shape[-1], theirs.shape[-1])
    difference = float(np.abs(ours - theirs)[real][:, :tokens].max())
    text = f"largest difference of logits from {reader} on fixed tokens: {difference:.2e}"
    if not refuse:
        say(f"{text}; parameters were rounded, so it is not judged")
        return difference
    # Not `>`: a NaN compares with nothing.
    if not difference <= MOST_DIFFERENCE:
        raise CheckpointError(
            f"{text}, above {MOST_DIFFERENCE:.0e}. Nothing was written: the model described is not "
            f"the one of {other}. Check its configuration."
        )
    say(f"{text} (at most {MOST_DIFFERENCE:.0e})")
    return difference


def fixed_batch(decoder_only: bool, vocab_size: int) -> dict[str, np.ndarray]:
    """Token arrays, int32, always the same for a vocabulary size; a row has no padding, one has."""
    generator = np.random.default_rng(_SEED)

    def draw(lengths: tuple[int, ...]) -> np.ndarray:
        rows = generator.integers(min(3, vocab_size - 1), vocab_size, (len(lengths), max(lengths)))
        return np.where(np.arange(max(lengths)) < np.array(lengths)[:, None], rows, 0)

    inputs, targets = draw(_INPUTS), draw(_TARGETS)
    batch = {
        "decoder_input_tokens": np.pad(targets, ((0, 0), (1, 0)))[:, :-1],
        "decoder_target_tokens": targets,
    }
    if not decoder_only:
        batch["encoder_input_tokens"] = inputs
    return {name: array.astype(np.int32) for name, array in batch.items()}


def in_float32(model: Any) -> Any:
    """Returns the same model with float32 activations."""
    changed = copy.copy(model)
    changed.module = model.module.clone(config=dataclasses.replace(model.config, dtype="float32"))
    return changed


def _why_not(found: Opened, params: Any) -> str | None:
    """Returns why nothing can be compared here, in a few words; None if it can."""
    if found.found.kind == detect.OURS:
        return "the source is a checkpoint of ours"
    if found.family is not None:
        missing = [n for n in ("torch", "transformers") if importlib.util.find_spec(n) is None]
        if missing:
            return f"{' and '.join(missing)} not installed (pip install 'flan-jax[hf]' torch)"
        if "://" in str(found.found.directory):
            return "transformers reads local folders only"
    needed = sum(4 * leaf.size for leaf in checkpoint_arrays.flat(params).values())
    free = _free_bytes()
    if free is not None and free < 1.2 * needed:
        return (
            f"a second copy of the model needs {needed / 1e9:.1f} GB of memory, and "
            f"{free / 1e9:.1f} GB are free"
        )
    return None


def _free_bytes() -> int | None:
    """Memory of this machine that is free for use, where the system tells."""
    table = pathlib.Path("/proc/meminfo")
    if not table.exists():
        return None
    fields = dict(line.split(":", 1) for line in table.read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def _theirs(found: Opened, model: Any, batch: Mapping[str, np.ndarray]) -> tuple[str, np.ndarray]:
    """Returns who read the checkpoint, and its float32 logits BxTxV."""
    if found.family is not None:
        return "transformers", _of_transformers(found, batch)
    source = found.source
    prefix = "target/"
    tree = checkpoint_arrays.nested(
        {name[len(prefix) :]: source.read(name) for name in source.arrays}
    )
    stacked = any(stack in tree.get(stack, {}) for stack in ("encoder", "decoder"))
    config = dataclasses.replace(model.config, scan_layers=stacked)
    same = in_float32(model)
    same.module = same.module.clone(config=dataclasses.replace(config, dtype="float32"))
    return "a direct reading", logits.compute(same, tree, PjitPartitioner(devices=1), batch)


def _of_transformers(found: Opened, batch: Mapping[str, np.ndarray]) -> np.ndarray:
    # Both are optional.
    import torch  # pyright: ignore[reportMissingImports]
    import transformers  # pyright: ignore[reportMissingImports]

    assert found.family is not None
    auto = (
        transformers.AutoModelForCausalLM
        if found.family.causal
        else transformers.AutoModelForSeq2SeqLM
    )
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        loaded = auto.from_pretrained(
            str(found.found.directory),
            dtype=torch.float32,
            local_files_only=True,
            # Neither the folder's Python files nor pickled weights beside the others.
            trust_remote_code=False,
            use_safetensors=True,
        )
        tokens = {name: torch.from_numpy(array).long() for name, array in batch.items()}
        inputs = {"input_ids": tokens["decoder_input_tokens"]}
        if "encoder_input_tokens" in tokens:
            inputs = {
                "input_ids": tokens["encoder_input_tokens"],
                "attention_mask": (tokens["encoder_input_tokens"] > 0).long(),
                "decoder_input_ids": tokens["decoder_input_tokens"],
            }
        with torch.no_grad():
            outputs: Any = loaded.eval()(**inputs, use_cache=False)
            return outputs.logits.float().numpy()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"transformers cannot read {found.found.directory}: {type(error).__name__}: {error}"
        ) from error
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
