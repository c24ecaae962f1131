"""Where the wall-clock time of a run went, over all its restarts.

Each moment of an attempt belongs to one bucket. What is good is training that was kept: steps that
a later attempt did again, and the time between attempts, are losses. `MODEL_DIR/goodput.json` holds
one entry per attempt.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from flan_jax import telemetry

FILE = "goodput.json"
# As they are shown. 'step' is training without waiting for data; 'redone' is the part of it that a
# later attempt did again, 'down' the time between attempts.
BUCKETS: tuple[str, ...] = (
    "step",
    "data_wait",
    "compile",
    "init",
    "checkpoint",
    "eval",
    "redone",
    "down",
)
_NAMES = {"data_wait": "data wait", "redone": "steps redone", "down": "between attempts"}
_ENOUGH_MARKS = 200
_began_s: float | None = None


def command_began() -> None:
    """Notes that the command begins: until the run does, time goes by for imports and hosts."""
    global _began_s
    _began_s = time.time()


@dataclasses.dataclass
class Attempt:
    """One process's part in a run.

    Attributes:
      began_s: Unix time at which it began.
      seen_s: Unix time at which it was last heard of.
      first_step: steps done before it.
      last_step: steps done when last heard of.
      seconds: bucket -> seconds.
      marks: pairs (step, seconds of 'step' and 'data_wait' until then), ascending.
    """

    began_s: float
    seen_s: float
    first_step: int = 0
    last_step: int = 0
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    marks: list[tuple[int, float]] = dataclasses.field(default_factory=list)

    @property
    def training_s(self) -> float:
        """Seconds of steps, with the waits for data in between."""
        return self.seconds.get("step", 0.0) + self.seconds.get("data_wait", 0.0)


class Goodput:
    """The account of this attempt, kept in MODEL_DIR beside those of earlier ones."""

    def __init__(self, model_dir: str | os.PathLike[str] | None):
        """Opens the account; time from `command_began` on is 'init' until said otherwise.

        Args:
          model_dir: where it is kept; None keeps nothing, as on all processes but the first.
        """
        global _began_s
        now = time.time()
        began_s, _began_s = _began_s or now, None
        self._path = None if model_dir is None else pathlib.Path(model_dir, FILE)
        self._earlier = [] if self._path is None else _read(self._path)
        self._attempt = Attempt(min(began_s, now), now)
        self._attempt.seconds["init"] = now - self._attempt.began_s
        self._bucket, self._since = "init", time.perf_counter()

    @contextlib.contextmanager
    def bucket(self, name: str) -> Iterator[None]:
        """Counts the time of the body for bucket `name`, whatever was counted around it."""
        outer = self.enter(name)
        try:
            yield
        finally:
            self.enter(outer)

    def enter(self, name: str) -> str:
        """Counts for bucket `name` from now on; returns the one before."""
        assert name in BUCKETS
        now, outer = time.perf_counter(), self._bucket
        self._add(outer, now - self._since)
        self._bucket, self._since = name, now
        return outer

    def move_to(self, name: str, seconds: float) -> None:
        """Takes seconds of the present bucket for another, such as compiling inside of 'eval'."""
        if self._bucket != name:
            self._add(name, seconds)
            self._add(self._bucket, -seconds)

    def resumed(self, step: int) -> None:
        """Says at which step this attempt starts."""
        self._attempt.first_step = self._attempt.last_step = step
        self.write()

    def done(self, step: int) -> None:
        """Says that `step` is done; writes the account."""
        self.enter(self._bucket)
        attempt = self._attempt
        attempt.last_step = step
        if not attempt.marks or attempt.marks[-1][0] < step:
            attempt.marks.append((step, round(attempt.training_s, 3)))
        if len(attempt.marks) > _ENOUGH_MARKS:
            attempt.marks = attempt.marks[1::2]
        self.write()

    def write(self) -> None:
        """Writes the account, whole or not at all."""
        self.enter(self._bucket)
        self._attempt.seen_s = time.time()
        if self._path is None:
            return
        entries = [dataclasses.asdict(each) for each in [*self._earlier, self._attempt]]
        draft = self._path.with_suffix(".tmp")
        draft.write_text(json.dumps({"attempts": entries}, indent=1), encoding="utf-8")
        draft.replace(self._path)

    def totals(self) -> dict[str, float]:
        """Seconds of each bucket so far, over all attempts."""
        self.enter(self._bucket)
        self._attempt.seen_s = time.time()
        return totals([*self._earlier, self._attempt])

    def _add(self, name: str, seconds: float) -> None:
        self._attempt.seconds[name] = self._attempt.seconds.get(name, 0.0) + seconds


def totals(attempts: Sequence[Attempt]) -> dict[str, float]:
    """Adds attempts up, oldest first.

    Where a later attempt began at an earlier step than this one reached, the time of the steps in
    between moves from 'step' and 'data_wait' to 'redone'.

    Returns:
      Seconds of each of BUCKETS. They add up to the time from the first beginning to the last sign
      of life.
    """
    found: dict[str, float] = dict.fromkeys(BUCKETS, 0.0)
    for index, attempt in enumerate(attempts):
        for name, seconds in attempt.seconds.items():
            found[name] = found.get(name, 0.0) + seconds
        later = attempts[index + 1 :]
        if later:
            found["down"] += max(0.0, later[0].began_s - attempt.seen_s)
        kept_step = min([attempt.last_step, *(each.first_step for each in later)])
        if kept_step >= attempt.last_step or not attempt.training_s:
            continue
        points = [(attempt.first_step, 0.0), *attempt.marks]
        steps, seconds = zip(*points, strict=True)
        kept_s = float(np.interp(kept_step, steps, seconds))
        redone_s = attempt.training_s - kept_s
        for name in ("step", "data_wait"):
            share = attempt.seconds.get(name, 0.0) / attempt.training_s
            found[name] -= share * redone_s
        found["redone"] += redone_s
    return found


def read_totals(model_dir: str | os.PathLike[str]) -> dict[str, float]:
    """Seconds of each bucket of the run in MODEL_DIR; empty where it keeps no account."""
    attempts = _read(pathlib.Path(model_dir, FILE))
    return totals(attempts) if attempts else {}


def share(seconds: Mapping[str, float]) -> float:
    """Goodput: the share of the time that went into steps that were kept, in [0, 1]."""
    return seconds.get("step", 0.0) / max(sum(seconds.values()), 1e-9)


def rows(seconds: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """The buckets as texts: name, duration, percentage; those without time left out."""
    total = max(sum(seconds.values()), 1e-9)
    return [
        (_NAMES.get(name, name), telemetry.format_duration(value), f"{100 * value / total:.1f}%")
        for name, value in seconds.items()
        if value >= 0.05
    ]


def describe(seconds: Mapping[str, float]) -> str:
    """One line.

    >>> describe({"step": 540.0, "compile": 60.0})
    'goodput 90.0%: step 9m00s (90.0%), compile 1m00s (10.0%)'
    """
    parts = ", ".join(f"{name} {spent} ({part})" for name, spent, part in rows(seconds))
    return f"goodput {100 * share(seconds):.1f}%: {parts}"


def _read(path: pathlib.Path) -> list[Attempt]:
    """The attempts kept in a file; none where there is no whole file."""
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["attempts"]
        attempts = [Attempt(**entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    for attempt in attempts:
        attempt.marks = [(int(step), float(seconds)) for step, seconds in attempt.marks]
    return attempts
