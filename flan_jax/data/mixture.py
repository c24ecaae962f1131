"""From a name to tasks with their mixing rates, with seqio's registries and seqio's arithmetic.

seqio drops a task without the asked split, with a log line; here that is an error, since it changes
what every other task's share is.
"""

import dataclasses
import functools
import importlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flan_jax import gin_trust
from flan_jax.data.config import DatasetConfig
from flan_jax.errors import ConfigError, DataError, FlanJaxError, NotFoundError, suggest

_SAMPLER_BLOCK = 4096
_NAMED_FAILURES = 20


@dataclasses.dataclass(frozen=True)
class TaskShare:
    """One task of a mixture: the seqio Task, its rate, and its share of the draws in [0, 1]."""

    name: str
    task: Any
    rate: float
    share: float


@dataclasses.dataclass(frozen=True)
class ResolvedMixture:
    """A task or mixture by name: its tasks sorted by name, all with the asked split."""

    name: str
    split: str
    shares: tuple[TaskShare, ...]
    is_mixture: bool

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names in the order of the task ids of a batch."""
        return tuple(share.name for share in self.shares)

    @property
    def output_features(self) -> Any:
        """The features as seqio gives them, the same for all tasks."""
        return self.shares[0].task.output_features

    def check_one_vocabulary(self, cfg: DatasetConfig) -> None:
        """Raises DataError unless inputs and targets share a vocabulary, as in one row they must.

        Args:
          cfg: says which features are read.
        """
        features = self.output_features
        found = [features[name].vocabulary for name in cfg.token_features]
        if any(vocabulary != found[0] for vocabulary in found):
            raise DataError(
                f"The inputs of {self.name!r} have another vocabulary ({found[0]}) than the "
                f"targets ({found[1]}), and a decoder-only model has one for both. Give the tasks "
                "one, or train an encoder-decoder."
            )


def import_task_module(module: str) -> None:
    """Imports a module that registers tasks, and calls its `register()` when it has one.

    Raises:
      NotFoundError: there is no such module.
      ConfigError: the module exists, but importing or registering failed, or a gin file names it
        that may not.
    """
    gin_trust.check(module)
    try:
        imported = importlib.import_module(module)
    except FlanJaxError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(error.name + ".")):
            raise NotFoundError(
                f"The task module {module!r} was not found: no {error.name!r} on the Python path. "
                "Start from the folder that holds it, or install it, and check "
                "MIXTURE_OR_TASK_MODULE (dots, no '.py')."
            ) from error
        raise ConfigError(
            f"The task module {module!r} needs the package {error.name!r}, which is not "
            f"installed. Run: pip install {error.name}"
        ) from error
    except Exception as error:
        raise ConfigError(
            f"Importing the task module {module!r} failed: {type(error).__name__}: {error}"
        ) from error
    register = getattr(imported, "register", None)
    if callable(register):
        register()


def resolve(cfg: DatasetConfig) -> ResolvedMixture:
    """Returns the tasks and rates behind `cfg.mixture_or_task_name`.

    Raises:
      NotFoundError: no such task or mixture, module, or split.
      ConfigError: a module cannot be imported, or the mixture samples by a function of its own.
      DataError: features, rates or sizes that cannot be trained on.
    """
    name = cfg.mixture_or_task_name
    mixture, tasks = find(cfg)
    if mixture is None:
        members = [(task, 1.0) for task in tasks]
    else:
        check_sampling(mixture)
        members = _rates_of(mixture)
    total = sum(rate for _, rate in members)
    if total <= 0:
        raise DataError(f"All rates of mixture {name!r} are 0; give at least one task a rate.")
    shares = tuple(TaskShare(task.name, task, rate, rate / total) for task, rate in members)
    resolved = ResolvedMixture(name, cfg.split, shares, is_mixture=mixture is not None)
    _check_splits(resolved)
    for share in resolved.shares:
        check_features(share.task, resolved.shares[0].task, cfg)
    return resolved


def find(cfg: DatasetConfig) -> tuple[Any, list[Any]]:
    """Imports the modules and returns (the mixture or None for a task, its tasks by name).

    Raises:
      NotFoundError: no such task or mixture, or module.
      ConfigError: a module cannot be imported.
    """
    for module in cfg.modules:
        import_task_module(module)
    import seqio

    name = cfg.mixture_or_task_name
    mixtures, tasks = seqio.MixtureRegistry.names(), seqio.TaskRegistry.names()
    if name in mixtures:
        mixture = seqio.MixtureRegistry.get(name)
        return mixture, list(mixture.tasks)
    if name in tasks:
        return None, [seqio.TaskRegistry.get(name)]
    raise _unknown_name(cfg, sorted({*mixtures, *tasks}))


class Sampler:
    """Draws task ids by rate: draw number n is a function of (seed, shares, n) alone.

    seqio draws the same distribution from TensorFlow's stateful sampler; here the position is one
    integer, so nothing needs to be saved but a count.
    """

    def __init__(self, shares: list[float], seed: int, position: int = 0):
        """Starts at draw `position` of the stream of `seed`."""
        cumulative = np.cumsum(np.asarray(shares, np.float64))
        self._cumulative = cumulative / cumulative[-1]
        self._seed = seed
        self.position = position
        self._block_index = -1
        self._block: list[int] = []

    def draw(self) -> int:
        """Returns the next task id."""
        block_index, offset = divmod(self.position, _SAMPLER_BLOCK)
        if block_index != self._block_index:
            bits = np.random.Philox(key=self._seed, counter=[0, 0, 0, block_index])
            uniform = np.random.Generator(bits).random(_SAMPLER_BLOCK)
            ids = np.searchsorted(self._cumulative, uniform, side="right")
            self._block = np.minimum(ids, len(self._cumulative) - 1).tolist()
            self._block_index = block_index
        self.position += 1
        return self._block[offset]


def _unknown_name(cfg: DatasetConfig, known: list[str]) -> NotFoundError:
    imported = ", ".join(cfg.modules) or "none"
    hint = suggest(cfg.mixture_or_task_name, known)
    if not known:
        hint = " Nothing is registered yet."
    return NotFoundError(
        f"No task or mixture is called {cfg.mixture_or_task_name!r} among the {len(known)} "
        f"registered.{hint} Modules imported: {imported}. If the name is right, name the module "
        "that registers it: --gin.MIXTURE_OR_TASK_MODULE=\"'MODULE'\"."
    )


def _rates_of(mixture: Any) -> list[tuple[Any, float]]:
    """Returns (task, rate); all tasks without one are named in one error."""
    members, failed, cause = [], [], None
    for task in mixture.tasks:
        try:
            members.append((task, computed_rate(mixture, task)))
        except FlanJaxError as error:
            failed.append((task.name, error))
            cause = error
    if not failed:
        return members
    raise DataError(
        f"{len(failed)} of the {len(mixture.tasks)} tasks of mixture {mixture.name!r} have no "
        "rate, and leaving them out would change every other task's share:\n"
        + list_failures(failed)
    ) from cause


def list_failures(failed: Sequence[tuple[str, Exception | None]]) -> str:
    """Returns a line for each of the first tasks that failed, and the number of the others."""
    lines = [f"  {name}: {error}" for name, error in failed[:_NAMED_FAILURES]]
    if len(failed) > _NAMED_FAILURES:
        lines.append(f"  and {len(failed) - _NAMED_FAILURES} more")
    return "\n".join(lines)


def computed_rate(mixture: Any, task: Any) -> float:
    """Returns a task's rate in a mixture; DataError when it cannot be computed or is no rate."""
    try:
        rate = float(mixture.get_rate(task))
    except FlanJaxError:
        raise
    except Exception as error:
        # A rate may be any function of the user's.
        raise DataError(
            f"The rate of task {task.name!r} in mixture {mixture.name!r} could not be computed: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not math.isfinite(rate) or rate < 0:
        raise DataError(
            f"The rate of task {task.name!r} in mixture {mixture.name!r} is {rate}; it must be a "
            "finite number of 0 or more."
        )
    return rate


def check_sampling(mixture: Any) -> None:
    """Raises ConfigError for a mixture that does not sample by rate alone."""
    import tensorflow as tf

    sample_fn = getattr(mixture, "_sample_fn", None)
    if isinstance(sample_fn, functools.partial):
        sample_fn = sample_fn.func
    if sample_fn not in (None, tf.data.Dataset.sample_from_datasets):
        raise ConfigError(
            f"Mixture {mixture.name!r} has a sample_fn of its own, and the training stream draws "
            "tasks by rate alone. Express the mixture by rates."
        )


def _check_splits(resolved: ResolvedMixture) -> None:
    lacking = [share for share in resolved.shares if resolved.split not in share.task.splits]
    if lacking:
        lines = [
            f"  {share.name}: rate {share.rate:g} ({share.share:.1%} of the draws), has "
            f"{', '.join(map(str, share.task.splits)) or 'no splits'}"
            for share in lacking
        ]
        options = sorted({str(split) for share in lacking for split in share.task.splits})
        raise NotFoundError(
            f"{len(lacking)} of the {len(resolved.shares)} tasks of {resolved.name!r} have no "
            f"split {resolved.split!r}:\n" + "\n".join(lines) + "\nTake them out of the mixture, "
            "or give them the split." + suggest(resolved.split, options)
        )
    for share in resolved.shares:
        if share.task.num_input_examples(resolved.split) == 0:
            raise empty_split_error(share.name, resolved.split)


def empty_split_error(task: str, split: str) -> DataError:
    """The error for a split without rows."""
    return DataError(
        f"Split {split!r} of task {task!r} has no rows. Check its source, and whether a filter "
        f"drops every row: flan-jax inspect {task}"
    )


def check_features(task: Any, first: Any, cfg: DatasetConfig) -> None:
    """Raises DataError unless a task has the token features to read, with the first's vocabulary.

    Args:
      task: a task of the mixture.
      first: the mixture's first one.
      cfg: names the mixture and, by their lengths, the features.
    """
    features = task.output_features
    wanted = cfg.token_features
    if "inputs" not in wanted and "inputs" in features and features["inputs"].required:
        raise DataError(
            f"Task {task.name!r} has inputs, and TASK_FEATURE_LENGTHS no length for them, so that "
            "its targets would stand alone. Add a length for 'inputs'."
        )
    for name in wanted:
        if name not in features:
            fix = ""
            if name == "inputs":
                fix = (
                    " A decoder-only model can be trained on targets alone: leave 'inputs' out of "
                    "TASK_FEATURE_LENGTHS (flan-jax inspect: --input_length=0)."
                )
            raise DataError(
                f"Task {task.name!r} has the features {sorted(features)}, and TASK_FEATURE_LENGTHS "
                f"asks for {' and '.join(map(repr, wanted))}: {name!r} is missing.{fix}"
            )
        feature = features[name]
        if feature.rank != 1 or feature.dtype.name not in ("int32", "int64"):
            raise DataError(
                f"Feature {name!r} of task {task.name!r} is {feature.dtype.name} of rank "
                f"{feature.rank}; token sequences (int32, rank 1) are expected."
            )
        expected = first.output_features[name].vocabulary
        if feature.vocabulary != expected:
            raise DataError(
                f"Task {task.name!r} has another vocabulary for {name!r} "
                f"({feature.vocabulary}) than task {first.name!r} ({expected}). All tasks of "
                f"{cfg.mixture_or_task_name!r} must share one."
            )
