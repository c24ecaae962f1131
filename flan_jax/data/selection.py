"""The tasks behind a name or a pattern, with what is wrong with each instead of a first error.

`mixture.resolve` refuses a mixture with one bad task, as training must. Whoever looks at a mixture
wants to see the others, and everything that is wrong, at once.
"""

import dataclasses
import fnmatch
from typing import Any, Literal

from flan_jax.data import description, mixture
from flan_jax.data.config import DatasetConfig
from flan_jax.errors import DataError, FlanJaxError, NotFoundError, suggest

Kind = Literal["task", "mixture", "pattern"]


@dataclasses.dataclass(frozen=True)
class Member:
    """A task of a selection.

    Attributes:
      name: its name.
      task: the seqio Task.
      rate: its rate in the mixture; None without a mixture, or when it could not be computed.
      how: how the mixture gives the rate; None without a mixture.
      rows: rows of the split as the source counts them; None when it does not know.
      error: why it cannot be trained on, or None.
    """

    name: str
    task: Any
    rate: float | None
    how: description.Rate | None
    rows: int | None
    error: FlanJaxError | None


@dataclasses.dataclass(frozen=True)
class Selection:
    """What a name or pattern stands for; `mixtures` are those that a pattern matches."""

    name: str
    kind: Kind
    members: tuple[Member, ...]
    mixtures: tuple[str, ...] = ()

    def share(self, member: Member) -> float | None:
        """A member's share of the draws in [0, 1] among the readable; None in a pattern."""
        if self.kind == "task":
            return 1.0
        total = sum(one.rate or 0.0 for one in self.members)
        return None if member.rate is None else member.rate / (total or 1.0)


def is_pattern(name: str) -> bool:
    """Whether a name holds one of the wildcards `*`, `?` and `[`."""
    return any(sign in name for sign in "*?[")


def select(cfg: DatasetConfig) -> Selection:
    """Returns the tasks behind `cfg.mixture_or_task_name`.

    A pattern stands for all tasks it matches, or where it matches mixtures alone, for theirs.

    Raises:
      NotFoundError: no task or mixture is called so or matches, or there is no such module.
      ConfigError: a module cannot be imported.
      DataError: none of the tasks can be read; the error of the only task as it is.
    """
    kind, whole, tasks, matched = find(cfg)
    if whole is not None:
        mixture.check_sampling(whole)
    members = tuple(_member(cfg, whole, task, tasks[0]) for task in tasks)
    if all(member.error for member in members):
        raise _nothing_left(cfg, members)
    return Selection(cfg.mixture_or_task_name, kind, members, matched)


def _nothing_left(cfg: DatasetConfig, members: tuple[Member, ...]) -> FlanJaxError:
    if len(members) == 1:
        return members[0].error or DataError(f"{members[0].name} cannot be read.")
    return DataError(
        f"None of the {len(members)} tasks of {cfg.mixture_or_task_name!r} can be read:\n"
        + mixture.list_failures([(member.name, member.error) for member in members])
    )


def find(cfg: DatasetConfig) -> tuple[Kind, Any, list[Any], tuple[str, ...]]:
    """Returns what a name is, the seqio mixture if it is one, its tasks, and mixtures matched.

    Raises:
      NotFoundError: no task or mixture is called so or matches, or there is no such module.
      ConfigError: a module cannot be imported.
    """
    if is_pattern(cfg.mixture_or_task_name):
        matched, tasks = _match(cfg)
        return "pattern", None, tasks, matched
    whole, tasks = mixture.find(cfg)
    return "task" if whole is None else "mixture", whole, tasks, ()


def _match(cfg: DatasetConfig) -> tuple[tuple[str, ...], list[Any]]:
    """Returns the mixtures that the pattern matches, and the tasks it stands for."""
    for module in cfg.modules:
        mixture.import_task_module(module)
    import seqio

    pattern = cfg.mixture_or_task_name
    mixtures, tasks = seqio.MixtureRegistry.names(), seqio.TaskRegistry.names()
    matched = tuple(sorted(fnmatch.filter(mixtures, pattern)))
    names = set(fnmatch.filter(tasks, pattern))
    if not names:
        names = {task.name for name in matched for task in seqio.MixtureRegistry.get(name).tasks}
    if not names:
        known = sorted({*mixtures, *tasks})
        raise NotFoundError(
            f"No task or mixture matches {pattern!r} among the {len(known)} registered."
            f"{suggest(pattern.strip('*?'), known)} Modules imported: "
            f"{', '.join(cfg.modules) or 'none'}. Name the one that registers it: --module MODULE."
        )
    return matched, [seqio.TaskRegistry.get(name) for name in sorted(names)]


def _member(cfg: DatasetConfig, whole: Any, task: Any, first: Any) -> Member:
    how = None if whole is None else description.rate_of(whole, task.name)
    rate, rows = None, None
    try:
        if cfg.split not in task.splits:
            raise NotFoundError(
                f"Task {task.name!r} has no split {cfg.split!r}, only "
                f"{', '.join(map(str, task.splits)) or 'none'}."
                + suggest(cfg.split, map(str, task.splits))
            )
        mixture.check_features(task, first, cfg)
        rows = task.num_input_examples(cfg.split)
        if rows == 0:
            raise mixture.empty_split_error(task.name, cfg.split)
        if whole is not None:
            rate = mixture.computed_rate(whole, task)
    except FlanJaxError as error:
        return Member(task.name, task, None, how, rows, error)
    except Exception as error:
        # A source may be any code of the user's.
        failure = DataError(f"Task {task.name!r} cannot be read: {type(error).__name__}: {error}")
        return Member(task.name, task, None, how, rows, failure)
    return Member(task.name, task, rate, how, rows, None)
