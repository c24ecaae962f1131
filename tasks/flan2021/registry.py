"""Registers FLAN 2021's tasks and mixtures by name; each is built when it is first used."""

import functools
from collections.abc import Callable
from typing import Any

import seqio

from flan_jax.errors import ConfigError, NotFoundError, suggest
from tasks import lazy
from tasks.flan2021 import mixtures
from tasks.flan2021.build import Builder
from tasks.flan2021.datasets import DATASETS
from tasks.flan2021.variants import variants_of
from tasks.paths import Paths
from tasks.registration import vocabulary_from
from tasks.settings import Flan2021

# What is registered now, so that registering again does not replace tasks that were built.
_registered: tuple[Paths, Flan2021, seqio.Vocabulary | None] | None = None


def register(
    paths: Paths | None = None,
    settings: Flan2021 | None = None,
    vocabulary: seqio.Vocabulary | None = None,
) -> None:
    """Registers all tasks and mixtures.

    Args:
      paths: where the vocabulary is; default the gin-bound `tasks.Paths`.
      settings: default the gin-bound `tasks.Flan2021`.
      vocabulary: default T5's, from `paths.sentencepiece_model`, looked for when a task is built.

    Raises:
      NotFoundError: `settings.files` or `settings.only` names an unknown data set.
    """
    global _registered
    paths = paths or Paths()
    settings = settings or Flan2021()
    if _registered == (paths, settings, vocabulary):
        return
    for setting in ("files", "only"):
        for name in getattr(settings, setting) or ():
            if name not in DATASETS:
                raise NotFoundError(
                    f"tasks.Flan2021.{setting} names {name!r}; FLAN 2021 has no such data set."
                    + suggest(name, DATASETS)
                )

    @functools.cache
    def chosen_vocabulary() -> seqio.Vocabulary:
        return vocabulary_from(paths, vocabulary)

    for dataset in DATASETS.values():
        builder = Builder(dataset, settings, chosen_vocabulary)
        for variant in variants_of(dataset):
            arguments = functools.partial(builder.arguments, variant)
            lazy.add_task(variant.task_name(dataset.name), arguments)
    chosen = {name: DATASETS[name] for name in settings.only or DATASETS}
    for name, members in mixtures.all_mixtures(chosen, settings.cap):
        lazy.add_mixture(name, functools.partial(_mixture, name, members))
    _registered = (paths, settings, vocabulary)


def _mixture(name: str, members: Callable[[], mixtures.Members]) -> dict[str, Any]:
    tasks = members()
    if not tasks:
        raise ConfigError(
            f"tasks.Flan2021.only leaves no task in the mixture {name!r}. Add a data set that is "
            "part of it."
        )
    return {"tasks": tasks}
