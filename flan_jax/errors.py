"""Errors a user can cause, with the process exit code of each kind.

A message says what was found, what was expected, where, and the smallest fix. `assert` is kept for
our own bugs.
"""

import difflib
from collections.abc import Iterable


class FlanJaxError(Exception):
    """Base of all errors a user can cause.

    Attributes:
      exit_code: what the command line returns.
      kind: the same as a word, for the last words of a run.
    """

    exit_code = 1
    kind = "error"


class ConfigError(FlanJaxError):
    """The configuration or the command line is wrong."""

    exit_code = 2
    kind = "user"


class NotFoundError(ConfigError):
    """A name (task, mixture, size, option) is not known."""


class TopologyError(ConfigError):
    """The mesh does not fit the devices, or the batch does not fit the mesh."""


class DataError(FlanJaxError):
    """A data file, split, row or vocabulary is missing or malformed."""

    exit_code = 3
    kind = "data"


class CheckpointError(FlanJaxError):
    """A checkpoint is missing, damaged, or of another model."""

    exit_code = 4
    kind = "checkpoint"


class NanError(FlanJaxError):
    """Training met a loss or gradient that is not finite."""

    exit_code = 5
    kind = "nan"


class PreemptedError(FlanJaxError):
    """The run was told to stop and saved before stopping. Start the same command again."""

    exit_code = 6
    kind = "preempted"


class HostsMissingError(FlanJaxError):
    """Not all processes of a run of several came together."""

    exit_code = 7
    kind = "hosts_missing"


class PeerLostError(FlanJaxError):
    """Another process of the run died or fell silent. Start the same command again everywhere.

    Where that process said why it ended, `exit_code` is its own.
    """

    exit_code = 8
    kind = "lost_peer"


class StorageError(CheckpointError):
    """A file could not be written or read: no space, no permission, or the storage is gone."""

    exit_code = 9
    kind = "storage"


class OutOfMemoryError(FlanJaxError):
    """The memory of the host or of a device was used up."""

    exit_code = 10
    kind = "out_of_memory"


def nearest(name: str, options: Iterable[str], n: int = 3) -> list[str]:
    """Returns up to `n` of `options` closest to `name`, best first, ignoring case."""
    by_fold = {}
    for option in options:
        by_fold.setdefault(option.casefold(), option)
    found = difflib.get_close_matches(name.casefold(), list(by_fold), n=n, cutoff=0.4)
    return [by_fold[key] for key in found]


def suggest(name: str, options: Iterable[str], n: int = 3) -> str:
    """Returns a sentence naming the nearest options, with a leading blank, or an empty string.

    >>> suggest('sead', ['seed', 'steps'])
    " Did you mean 'seed' or 'steps'?"
    """
    names = [repr(option) for option in nearest(name, options, n)]
    if not names:
        return ""
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    return f" Did you mean {listed}?"
