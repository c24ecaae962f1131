"""`flan-jax import`: a checkpoint of another library becomes one of ours, with its model file."""

import argparse
import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
from etils import epath

from flan_jax import checkpoint_arrays, checkpoint_params, evaluate, gin_trust, gin_utils
from flan_jax.errors import ConfigError, suggest
from flan_jax.interop import carry, compare, detect, hf_folder, model_gin, storage
from flan_jax.interop.opened import Opened, open_found
from flan_jax.mesh import PjitPartitioner

Say = Callable[[str], None]

# Kept beside an imported checkpoint, for `flan-jax export`.
RECORD = "imported_from.json"
DTYPES = ("float32", "bfloat16", "float16")


def import_checkpoint(
    source: str,
    model_dir: str,
    *,
    gin_files: tuple[str, ...] = (),
    gin_bindings: tuple[str, ...] = (),
    search_paths: tuple[str, ...] = (),
    dtype: str = "float32",
    grow_vocabulary: str | None = None,
    compare_logits: bool = True,
    trust: gin_trust.Trust = gin_trust.DEFAULT,
    say: Say = print,
) -> epath.Path:
    """Writes MODEL_DIR with `checkpoint_<step>`, `config.gin` and the tokenizer's files.

    Nothing is left at MODEL_DIR unless all of it was read, compared and written.

    Args:
      source: a checkpoint of T5X, a Hugging Face directory, or a checkpoint of ours to convert.
      model_dir: absolute path; does not exist or is empty.
      gin_files: that define MODEL; none derives it from the source.
      gin_bindings: override the files.
      search_paths: see `gin_utils.parse`.
      dtype: of the parameters written.
      grow_vocabulary: see `carry.Partial`.
      compare_logits: whether to compare logits with the source before writing.
      trust: see `gin_utils.parse`.
      say: receives sentences.

    Returns:
      The checkpoint's directory.

    Raises:
      CheckpointError, ConfigError, DataError: see the parts; the first line says the cause.
    """
    check_dtype(dtype)
    carry.check_growth(grow_vocabulary)
    target = storage.check_new(model_dir, "--model_dir")
    found = detect.detect(source)
    if found.kind == detect.OURS:
        found = dataclasses.replace(found, directory=checkpoint_params.find_checkpoint(source))
    opened = open_found(found)
    say(f"{found.directory}: {found.kind}, {len(opened.source.arrays)} arrays of parameters")
    if opened.config is None:
        say("step kept, state of the optimizer and position of the data left")
    tokenizer: list[str] = []
    if opened.config is not None:
        say(hf_folder.check(found.directory, opened.config))
        tokenizer = hf_folder.tokenizer_files(found.directory)
    place = target if tokenizer else None
    given = gin_files, gin_bindings, search_paths
    model = model_gin.parse_model(str(found.directory), *given, tokenizer_folder=place, trust=trust)
    config_text = gin_utils.effective_config_str()
    if found.kind != detect.OURS and not gin_files and not gin_bindings:
        # The same, in the form of a model file.
        comment = f"Made by flan-jax import from {found.directory} ({found.kind})."
        config_text = model_gin.derive(opened, place).text(comment)
    partitioner = PjitPartitioner(fsdp=jax.device_count())
    params = _load(opened, model, partitioner, dtype, grow_vocabulary, say)
    dtypes = _dtypes(opened)
    if compare_logits and grow_vocabulary is None:
        # Rounded to fewer bits than the source has, parameters give other logits.
        exact = dtype == "float32" or {dtypes["most"], *dtypes["others"].values()} == {dtype}
        compare.check(model, params, partitioner, found.directory, say, refuse=exact)
    record = {
        "kind": found.kind,
        "path": str(found.directory),
        "dtypes": dtypes,
        "config": opened.config,
        "tokenizer": tokenizer,
    }
    extra: dict[str, Any] = {"imported_from": str(source)}
    if grow_vocabulary is None and (identity := _vocabulary(opened, model, say)) is not None:
        # Runs that start from it and evaluations compare their task's vocabulary with it.
        extra["vocabulary"] = identity
    with storage.written_whole(target) as folder:
        (folder / gin_utils.CONFIG_NAME).write_text(config_text)
        (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")
        generation = found.directory / hf_folder.GENERATION
        for name in [*tokenizer, *([generation.name] if generation.exists() else [])]:
            (found.directory / name).copy(folder / name)
        checkpoint_params.save_params(folder, found.step, params, extra)
    directory = target / f"checkpoint_{found.step}"
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    say(f"wrote {directory}: {size:,} parameters in {dtype}, and {target / gin_utils.CONFIG_NAME}")
    return directory


def check_dtype(dtype: str) -> None:
    """Raises ConfigError unless parameters can be written in this dtype."""
    if dtype not in DTYPES:
        raise ConfigError(
            f"--dtype is {dtype!r}; it is one of {', '.join(DTYPES)}.{suggest(dtype, DTYPES)}"
        )


def _load(
    opened: Opened,
    model: Any,
    partitioner: PjitPartitioner,
    dtype: str,
    grow_vocabulary: str | None,
    say: Say,
) -> Any:
    abstract = model.abstract_params()
    abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), abstract)
    shardings = partitioner.shardings(abstract, model.logical_axes())
    wanted = checkpoint_arrays.flat(checkpoint_arrays.with_shardings(abstract, shardings))
    partial = carry.Partial(grow_vocabulary=grow_vocabulary)
    return checkpoint_arrays.nested(carry.load(opened, wanted, model.config, say, partial))


def _vocabulary(opened: Opened, model: Any, say: Say) -> Mapping[str, Any] | None:
    """The identity of the source's vocabulary: its own, else the model file's where it is here."""
    if opened.config is not None or opened.found.kind == detect.OURS:
        identity = checkpoint_params.read_vocabulary(opened.found.directory)
        if identity is not None:
            return identity
    named = model.input_vocabulary
    if named is None:
        return None
    from flan_jax.data import tokenizer_files

    # A source made elsewhere names its files by places that may be out of reach, such as a bucket.
    path = getattr(named, "file", None)
    if path is not None and not os.path.isfile(path):
        say(f"the vocabulary is not recorded: {path} is not on this machine")
        return None
    return tokenizer_files.identity(named)


def _dtypes(opened: Opened) -> dict[str, Any]:
    """The dtype most arrays of a source have, and the names of those that have another one."""
    by_dtype: dict[str, list[str]] = {}
    for name, stored in opened.source.arrays.items():
        by_dtype.setdefault(str(stored.dtype), []).append(name)
    most = max(by_dtype, key=lambda dtype: len(by_dtype[dtype]))
    others = {name: dtype for dtype, names in by_dtype.items() if dtype != most for name in names}
    return {"most": most, "others": others}


def read_record(model_dir: epath.PathLike) -> Mapping[str, Any]:
    """Returns what `import_checkpoint` kept beside a checkpoint; empty if it was not imported."""
    path = epath.Path(model_dir) / RECORD
    return json.loads(path.read_text()) if path.exists() else {}


def command(args: argparse.Namespace) -> None:
    """`flan-jax import`."""
    import_checkpoint(
        evaluate.absolute(args.source),
        evaluate.absolute(args.model_dir),
        gin_files=tuple(args.gin_file),
        gin_bindings=tuple(args.gin_bindings),
        search_paths=tuple(args.gin_search_paths),
        dtype=args.dtype,
        grow_vocabulary=args.grow_vocabulary,
        compare_logits=not args.no_comparison,
        trust=gin_trust.of_flags(args),
    )
