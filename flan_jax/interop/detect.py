"""What lies at a path: a checkpoint of ours, of T5X in one of its two formats, or Hugging Face's.

Told by the files, never by the name of the path.
"""

import dataclasses
from collections.abc import Iterable

from etils import epath

from flan_jax.checkpoint_files import check_exists, step_in
from flan_jax.errors import CheckpointError

OURS, T5X, T5X_ORBAX, HUGGING_FACE = "flan-jax", "T5X", "T5X (Orbax)", "Hugging Face"

SAFETENSORS, SAFETENSORS_INDEX = "model.safetensors", "model.safetensors.index.json"
# Weights in Hugging Face directories that are not read, with the library that can convert them.
_OTHER_WEIGHTS = {
    "pytorch_model.bin": "",
    "pytorch_model.bin.index.json": "",
    "flax_model.msgpack": ", from_flax=True",
    "tf_model.h5": ", from_tf=True",
}


@dataclasses.dataclass(frozen=True)
class Found:
    """A checkpoint.

    Attributes:
      kind: OURS, T5X, T5X_ORBAX or HUGGING_FACE.
      directory: of the checkpoint itself, also where the path is that of a run.
      step: in the name of the directory; 0 where it names none.
    """

    kind: str
    directory: epath.Path
    step: int = 0


def detect(path: epath.PathLike) -> Found:
    """Returns what lies at a path.

    Args:
      path: a checkpoint, or a MODEL_DIR of ours or T5X's: the one of the latest step is taken. Of
        ours, whether its files are whole is not looked at.

    Raises:
      CheckpointError: there is nothing there, or nothing that can be read; the message says what
        was looked for.
    """
    place = epath.Path(path)
    check_exists(place)
    if not place.is_dir():
        raise CheckpointError(
            f"{place} is a file. Give a directory: a checkpoint_<step>, the MODEL_DIR of a run, or "
            f"a Hugging Face directory. Perhaps {place.parent}."
        )
    names = {p.name for p in place.iterdir()}
    if kind := _kind(place, names):
        return Found(kind, place, step_in(place.name) or 0)
    steps = sorted(step for name in names if (step := step_in(name)) is not None)
    for step in reversed(steps):
        directory = place / f"checkpoint_{step}"
        if kind := _kind(directory, {p.name for p in directory.iterdir()}):
            return Found(kind, directory, step)
    raise CheckpointError(_nothing(place, names))


def foreign(path: epath.PathLike) -> Found | None:
    """Returns what lies at a path if it is another library's; None otherwise, nothing included."""
    try:
        found = detect(path)
    except CheckpointError:
        if _other_weights(path):
            raise
        return None
    return None if found.kind == OURS else found


def _kind(directory: epath.Path, names: Iterable[str]) -> str | None:
    names = set(names)
    if "manifest.json" in names or {"params", "meta"} <= names:
        return OURS
    if "checkpoint" in names and not (directory / "checkpoint").is_dir():
        return T5X
    if "state" in names and (directory / "state" / "_METADATA").exists():
        return T5X_ORBAX
    if "config.json" in names and names & {SAFETENSORS, SAFETENSORS_INDEX}:
        return HUGGING_FACE
    return None


def _other_weights(path: epath.PathLike) -> list[str]:
    place = epath.Path(path)
    return [name for name in _OTHER_WEIGHTS if place.is_dir() and (place / name).exists()]


def _nothing(place: epath.Path, names: set[str]) -> str:
    """Says what was looked for and what is there."""
    other = _other_weights(place)
    if other:
        return (
            f"{place} has its weights in {other[0]}, which is not read: such files can run code, "
            "or need their library. Convert it with transformers and torch installed: python -c "
            '"import transformers as t; m = t.AutoModelForSeq2SeqLM.from_pretrained('
            f"'{place}'{_OTHER_WEIGHTS[other[0]]}); m.save_pretrained('NEW_FOLDER')\" "
            "(AutoModelForCausalLM for a decoder-only model), and copy the tokenizer's files there."
        )
    if "config.json" in names:
        missing = f"it has config.json but neither {SAFETENSORS} nor {SAFETENSORS_INDEX}"
    elif names & {SAFETENSORS, SAFETENSORS_INDEX}:
        missing = "it has safetensors but no config.json"
    else:
        content = ", ".join(sorted(names)[:8]) or "nothing"
        missing = f"found {content}"
    return (
        f"{place} holds no checkpoint: {missing}. Looked for: manifest.json (ours), checkpoint "
        f"(T5X's own format), state/_METADATA (T5X with Orbax), config.json with {SAFETENSORS} or "
        f"{SAFETENSORS_INDEX} (Hugging Face), and directories checkpoint_<step> with one of the "
        "first three."
    )
