"""Whether a configuration can be trained from prepared data: what the start of a run asks."""

import argparse
import dataclasses
from collections.abc import Iterator

import gin

from flan_jax import gin_trust, gin_utils
from flan_jax.data.config import DatasetConfig
from flan_jax.data.mixture import resolve
from flan_jax.data.order import opening
from flan_jax.data.prepared import read_manifest
from flan_jax.data.prepared.manifest import Manifest
from flan_jax.data.prepared.reader import vocabulary_faults
from flan_jax.errors import FlanJaxError

# (ok, text, fix): as of `flan_jax.doctor`.
Finding = tuple[bool | None, str, str]

_FIX = (
    "give the tasks the vocabulary that the data were made with, or run flan-jax prepare again: "
    "it makes every task anew whose vocabulary changed"
)


def of_flags(args: argparse.Namespace, folder: str) -> DatasetConfig:
    """Returns what the flags say is to be trained on the data of a folder.

    Args:
      args: with `--gin_file` a recipe, whose training set is taken; else the `--module` that
        registers the mixture of the data, with the lengths of the data.
      folder: of `flan-jax prepare`.

    Raises:
      ConfigError: the gin configuration has mistakes.
      NotFoundError, DataError: of the manifest, see `read_manifest`.
    """
    trust = gin_trust.of_flags(args)
    if not args.gin_file:
        gin_utils.parse([], args.gin_bindings, [], entry="utils.DatasetConfig", trust=trust)
        return of_manifest(folder, read_manifest(folder), batch_size=1, module=args.module)
    # Nothing is written to it.
    bindings = [*args.gin_bindings, "MODEL_DIR = 'checked'"]
    gin_utils.parse(
        args.gin_file, bindings, args.gin_search_paths, "train_script.train", trust=trust
    )
    with gin.config_scope("train"):
        cfg = DatasetConfig()  # pyright: ignore[reportCallIssue]
    module = {} if args.module is None else {"module": args.module}
    return dataclasses.replace(cfg, prepared_dir=folder, **module)


def of_manifest(
    folder: str,
    manifest: Manifest,
    *,
    batch_size: int,
    seed: int = 0,
    module: list[str] | None = None,
) -> DatasetConfig:
    """Returns the configuration that trains on all of a folder, with the lengths it has."""
    return DatasetConfig(
        mixture_or_task_name=manifest.name,
        task_feature_lengths={name: each.length for name, each in manifest.features.items()},
        split=manifest.split,
        batch_size=batch_size,
        shuffle=True,
        seed=seed,
        pack=True,
        prepared_dir=folder,
        module=module,
    )


def findings(cfg: DatasetConfig) -> Iterator[Finding]:
    """Compares prepared data with the tasks of a configuration as they are now.

    Args:
      cfg: with `prepared_dir`.

    Raises:
      FlanJaxError: the tasks, or the manifest, cannot be read.
    """
    folder = str(cfg.prepared_dir)
    mixture = resolve(cfg)
    manifest, wanted = read_manifest(folder), opening.vocabularies_of(mixture, cfg)
    faults = vocabulary_faults(manifest, wanted)
    for fault in faults:
        yield False, f"{folder}, against the tasks of {mixture.name!r}: {fault}", _FIX
    try:
        opening.open_tasks(cfg, mixture.task_names)
    except FlanJaxError as error:
        yield False, str(error), ""
        return
    if not faults:
        yield (
            True,
            f"the {len(mixture.task_names)} tasks of {mixture.name!r} have the vocabularies of "
            f"{folder}, and its split and lengths fit",
            "",
        )
