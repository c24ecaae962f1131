"""A configuration's prepared tasks, checked, with the plan of their rows."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from flan_jax.data.config import DatasetConfig
from flan_jax.data.layout import RowLayout
from flan_jax.data.mixture import ResolvedMixture
from flan_jax.data.order.examples import Examples
from flan_jax.data.order.plan import Plan
from flan_jax.data.order.settings import Settings
from flan_jax.data.packing import TRUNCATED_TARGETS
from flan_jax.data.prepared import PreparedTask, open_prepared
from flan_jax.errors import ConfigError, DataError, NotFoundError, suggest

_NAMED = 10


def open_plan(
    cfg: DatasetConfig,
    rates: Mapping[str, float],
    layout: RowLayout,
    vocabularies: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Settings | None = None,
) -> tuple[tuple[PreparedTask, ...], Plan]:
    """Opens the prepared tasks of a mixture and plans their rows.

    Args:
      cfg: with `prepared_dir`.
      rates: of the tasks, by name; those of 0 are planned too, for stages that draw them.
      layout: the model's.
      vocabularies: see `open_prepared`.
      settings: by default those of gin.

    Returns:
      The tasks in the order of `rates`, and the plan over them.

    Raises:
      NotFoundError, DataError, ConfigError: see `open_tasks`; of the plan, see `Plan`.
    """
    tasks = open_tasks(cfg, list(rates), vocabularies)
    examples = Examples(tasks, (cfg.input_length, cfg.target_length), layout, cfg.seed or 0)
    plan = Plan(
        examples,
        list(rates.values()),
        batch_size=cfg.batch_size,
        pack=cfg.pack,
        seed=cfg.seed or 0,
        settings=settings,
    )
    return tasks, plan


def open_tasks(
    cfg: DatasetConfig,
    names: Sequence[str],
    vocabularies: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[PreparedTask, ...]:
    """Opens the prepared tasks of a mixture, once they are known to be those of a configuration.

    Args:
      cfg: with `prepared_dir`.
      names: of the tasks.
      vocabularies: see `open_prepared`.

    Returns:
      The tasks in the order of `names`.

    Raises:
      NotFoundError: no prepared data there, or not of a task.
      DataError: they are damaged, of another vocabulary, or empty; or `cfg.strict` is set and
        targets were cut.
      ConfigError: they were prepared from another split, with other features, or cut to lengths at
        which the configuration would cut otherwise.
    """
    folder = str(cfg.prepared_dir)
    prepared = open_prepared(folder, vocabularies)
    manifest = prepared.manifest
    by_name = {task.name: task for task in prepared.tasks}
    _check_names(folder, names, list(by_name))
    if manifest.split != cfg.split:
        raise ConfigError(
            f"{folder} was prepared from split {manifest.split!r}, and DatasetConfig.split is "
            f"{cfg.split!r}. Name another folder, or prepare that split."
        )
    if tuple(manifest.features) != cfg.token_features:
        raise ConfigError(
            f"{folder} was prepared with the features {', '.join(manifest.features)}, and "
            f"TASK_FEATURE_LENGTHS has lengths for {', '.join(cfg.token_features)}. Prepare the "
            "data with these lengths, or give the lengths of the data."
        )
    tasks = tuple(by_name[name] for name in names)
    empty = [task.name for task in tasks if not task.num_examples]
    if empty:
        raise DataError(
            f"{folder} has no example of {', '.join(empty[:_NAMED])}: their pipelines dropped "
            "every row. Take them out of the mixture, or mend and prepare them again."
        )
    _check_lengths(folder, tasks, manifest.features, cfg)
    if cfg.strict:
        _check_strict(folder, tasks, cfg)
    return tasks


def vocabularies_of(mixture: ResolvedMixture, cfg: DatasetConfig) -> dict[str, dict[str, Any]]:
    """Returns by feature what `open_prepared` compares with the vocabulary of the data."""
    from flan_jax.data import tokenizer_files

    features = mixture.output_features
    return {
        name: tokenizer_files.identity(features[name].vocabulary) for name in cfg.token_features
    }


def _check_names(folder: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    lacking = [name for name in wanted if name not in set(known)]
    if lacking:
        shown = ", ".join(lacking[:_NAMED]) + (", ..." if len(lacking) > _NAMED else "")
        raise NotFoundError(
            f"{folder} holds {len(known)} prepared tasks and lacks {len(lacking)} of the "
            f"{len(wanted)} asked for: {shown}.{suggest(lacking[0], known)} Add them with flan-jax "
            f"prepare MIXTURE --output {folder}; what is there stays."
        )


def _check_lengths(
    folder: str, tasks: Sequence[PreparedTask], features: Mapping[str, Any], cfg: DatasetConfig
) -> None:
    """Refuses lengths with which a task's pipeline would have given other tokens."""
    for column, (name, feature) in enumerate(features.items()):
        wanted = cfg.task_feature_lengths[name]
        for task in tasks:
            longest = int(task.lengths_NxF[:, column].max())
            whole = int(task.column(f"original/{name}").max())
            if longest > wanted:
                raise ConfigError(
                    f"{folder} was prepared with up to {feature.length} tokens of {name!r}, and "
                    f"TASK_FEATURE_LENGTHS allows {wanted}: an example of {task.name!r} has "
                    f"{longest}. Prepare the data with these lengths, or set "
                    f"TASK_FEATURE_LENGTHS[{name!r}] to {feature.length}."
                )
            if wanted > feature.length and whole > feature.length:
                raise ConfigError(
                    f"{folder} was prepared with {name!r} cut to {feature.length} tokens, and "
                    f"TASK_FEATURE_LENGTHS allows {wanted}: an example of {task.name!r} had "
                    f"{whole}. Prepare the data with these lengths, or set "
                    f"TASK_FEATURE_LENGTHS[{name!r}] to {feature.length}."
                )


def _check_strict(folder: str, tasks: Sequence[PreparedTask], cfg: DatasetConfig) -> None:
    """Refuses what `DatasetConfig.strict` refuses of the tasks' sources."""
    for task in tasks:
        cut = int(((task.flags_N & TRUNCATED_TARGETS) != 0).sum())
        names = ("left_out_without_targets", "left_out_targets_all_cut")
        left_out = sum(task.entry.counts.get(name, 0) for name in names)
        if cut or left_out:
            raise DataError(
                f"{folder}, task {task.name!r}: the targets of {cut} examples were cut and "
                f"{left_out} were left out for lack of targets, and DatasetConfig.strict is set. "
                "Prepare the data with a higher length of 'targets', or set "
                "utils.DatasetConfig.strict = False."
            )


def content_hashes(tasks: Sequence[PreparedTask]) -> list[str]:
    """Returns for each task a checksum over those of its shards."""
    texts = []
    for task in tasks:
        digest = hashlib.sha256()
        for shard in task.entry.shards:
            digest.update(f"{shard.examples} {shard.records.sha256} {shard.index.sha256}".encode())
        texts.append(digest.hexdigest()[:16])
    return texts
