"""A command's quiet run and its runs that are killed: what `benchmarks.kill_points` counts."""

import dataclasses
import pathlib
import random
import shutil
from collections.abc import Callable
from typing import Any

from benchmarks.killed_children import Child, Failure
from benchmarks.killed_commands import Command, Damage

SIGKILL, OPERATION, TIMER = "SIGKILL", "file operation", "timer"
# Beyond a run's length too, so that some get to the end.
_LONGEST = 1.25
_MOST_FAILURES = 5


@dataclasses.dataclass(frozen=True)
class Measure:
    """A quiet run.

    Attributes:
      outcome: what it left.
      seconds: how long it took.
      begun_s: how much of it was the start.
      events: its file operations.
    """

    outcome: dict[str, Any]
    seconds: float
    begun_s: float
    events: int


class Target:
    """A variant of a command: its quiet run, and the run that is under way.

    Attributes:
      command: the variant.
      quiet: the run that is the measure, once there is one.
      finished: runs that got to their end and were compared.
      differences: what was found.
    """

    def __init__(self, command: Command, work: pathlib.Path):
        """Makes it; `work` is the folder of the benchmark."""
        self.command = command
        self.quiet = Measure({}, 0.0, 0.0, 0)
        self.finished = self._failures = 0
        self.differences: list[str] = []
        self._runs = work / command.what / command.name
        self._runs.mkdir(parents=True)
        self._log = str(self._runs / "log.txt")
        self._folder: pathlib.Path | None = None
        self._kept: set[str] = set()

    def _start(self, folder: pathlib.Path, **moment: Any) -> Child:
        """Starts the command."""
        return Child(
            self.command.argv(folder),
            phases=self.command.phases,
            marks=self.command.marks,
            watched=str(folder),
            environment=self.command.environment,
            log=self._log,
            **moment,
        )

    def run_quietly(self, name: str = "quiet") -> pathlib.Path:
        """Runs it to its end, which becomes the measure, and returns its folder."""
        folder = self._runs / name
        self.command.begin(folder)
        child = self._start(folder)
        _, _, seconds = child.wait()
        outcome = self.command.outcome(folder)
        self.quiet = Measure(outcome, seconds, child.begun_s, child.events)
        return folder

    def measure(self) -> pathlib.Path:
        """Runs it quietly, twice: the second finds all programs in the cache.

        Raises:
          SystemExit: two quiet runs differ.
        """
        self.run_quietly("warm")
        first = self.quiet.outcome
        folder = self.run_quietly()
        if lines := differences(first, self.quiet.outcome):
            raise SystemExit(f"two quiet runs of {self.command.name} differ: {lines}")
        return folder

    def move(self, name: str) -> None:
        """Has the runs to come in a folder of their own, for one of several processes."""
        self._runs /= name
        self._runs.mkdir()
        self._log = str(self._runs / "log.txt")

    def point(self, rng: random.Random, real: bool) -> dict[str, Any] | None:
        """Starts the run under way, or a new one, and kills it at a random point.

        Returns:
          The point; None where the run got to its end first.
        """
        if self._folder is None:
            self._folder = self._runs / f"run_{self.finished + self._failures}"
            self._kept = set()
            self.command.begin(self._folder)
        folder = self._folder
        # Half of them behind the start, which takes most of the time.
        earliest_s = rng.choice([0.0, self.quiet.begun_s])
        moment_s = rng.uniform(earliest_s, _LONGEST * self.quiet.seconds)
        kind, moment, kill_when = TIMER, {"after_s": moment_s}, None
        if real:
            kind, moment = SIGKILL, {}
            kill_when = self._when_written(rng, folder) if self.command.has_workers else None
            kill_when = kill_when or (lambda ran_s: ran_s >= moment_s)
        elif rng.random() < 0.5:
            kind, moment = OPERATION, {"event": rng.randint(1, round(_LONGEST * self.quiet.events))}
        try:
            killed, phase, ran_s = self._start(folder, **moment).wait(kill_when)
        except Failure as failure:
            self._give_up(failure)
            return None
        if not killed:
            self._compare()
            return None
        try:
            now = self.command.kept(folder)
        except Damage as damage:
            self._differs(f"after a kill in {phase!r}: {damage}")
            now = self._kept
        if gone := self.command.lost(self._kept, now):
            self._differs(f"lost by a kill in {phase!r}: {sorted(gone)}")
        self._kept = now
        return {
            "command": self.command.what,
            "variant": self.command.name,
            "kind": kind,
            "phase": phase,
            "ran_s": round(ran_s, 2),
        }

    def _when_written(self, rng: random.Random, folder: pathlib.Path) -> Callable[[float], bool]:
        """Workers take long to start: when a random number of files of theirs are there."""
        count = rng.randint(0, len(self.quiet.outcome))

        def written(ran_s: float) -> bool:
            del ran_s
            return folder.exists() and len(list(folder.glob("tasks/*/*"))) >= count

        return written

    def finish(self) -> None:
        """Brings the run under way to its end in peace."""
        if self._folder is None:
            return
        try:
            self._start(self._folder).wait()
        except Failure as failure:
            self._give_up(failure)
        else:
            self._compare()

    def _give_up(self, failure: Failure) -> None:
        """Leaves a run that ended with an error as it is, to be looked at."""
        self._differs(str(failure))
        self._folder = None
        self._failures += 1
        if self._failures > _MOST_FAILURES:
            raise SystemExit(f"{self._failures} runs of {self.command.name} ended with errors")

    def _compare(self) -> None:
        assert self._folder is not None
        for line in differences(self.quiet.outcome, self.command.outcome(self._folder)):
            self._differs(line)
        self.finished += 1
        shutil.rmtree(self._folder)
        self._folder = None

    def _differs(self, line: str) -> None:
        assert self._folder is not None
        self.differences.append(f"{self.command.name}, {self._folder.name}: {line}")
        print(f"DIFFERENCE {self.differences[-1]}", flush=True)


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Returns a line for each name whose value is not the expected one."""
    return [
        f"{name}: {str(expected.get(name))[:200]} became {str(found.get(name))[:200]}"
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name)
    ]
