"""A long run of two processes, killed again and again: does its end differ from a quiet run's?

  python -m benchmarks.soak --work_dir=DIR --steps=20000 --json=result.json

Two processes on this machine (jax.distributed, gloo) train a small MiniFLAN model from prepared
data. First they do so undisturbed, in DIR/quiet. Then in DIR/killed: after every 200 to 1,000 steps
one of them, or both, get SIGKILL; one that is left must notice and end by itself, with the exit
code for a lost peer; then the same command is started again. At the end all losses by step and all
arrays of the last checkpoint must be equal to the last bit. Exits with 1 where something differs.

The same command goes on where `--max_minutes` stopped it. Children are forked from a process that
has imported everything. It is for Linux.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sys
import time
from typing import Any

from benchmarks import killed_children
from benchmarks.killed_children import Child, Failure, kill_tree
from benchmarks.killed_commands import PrepareMiniflan, Train
from benchmarks.killed_runs import Target, differences
from flan_jax.errors import PeerLostError, PreemptedError

PROCESSES = 2
FEWEST, MOST = 200, 1_000  # Steps between two kills.
# How long the process that is left may take to notice.
_NOTICE_S = 300.0
_POLL_S = 0.02
_MOST_FAILURES = 5
_TAIL_BYTES = 4096


class Stopped(Exception):
    """The time that was given is over."""


def parse_args() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--work_dir", required=True, help="kept, to go on from")
    parser.add_argument("--steps", type=int, default=20_000, help="of the run")
    parser.add_argument("--period", type=int, default=100, help="steps between checkpoints")
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--max_minutes", type=float, default=1e9, help="stop after this long")
    parser.add_argument("--json", help="file for the result")
    return parser.parse_args()


class Pair:
    """Both processes of one attempt."""

    def __init__(self, command: Train, folder: pathlib.Path):
        """Starts them."""
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        self.processes = [
            Child(
                [
                    *command.argv(folder),
                    *(f"--coordinator_address=127.0.0.1:{port}", f"--num_processes={PROCESSES}"),
                    f"--process_id={rank}",
                ],
                log=f"{folder}_{rank}.log",
                environment=command.environment,
            )
            for rank in range(PROCESSES)
        ]

    def codes(self) -> list[int | None]:
        """Returns the exit codes; None for a process that runs."""
        return [process.poll() for process in self.processes]

    def wait(self, seconds: float) -> list[int]:
        """Waits for their ends.

        Raises:
          Failure: one has not ended by then; it is killed.
        """
        until_s = time.monotonic() + seconds
        while None in (codes := self.codes()):
            if time.monotonic() > until_s:
                self.kill(range(PROCESSES))
                raise Failure(f"a process did not end within {seconds:.0f} s: {codes}")
            time.sleep(_POLL_S)
        return [code for code in codes if code is not None]

    def tell_to_stop(self) -> None:
        """Has both save and end."""
        os.kill(self.processes[0].pid, signal.SIGTERM)

    def kill(self, ranks: Any) -> None:
        """Sends SIGKILL to those that run."""
        for rank in ranks:
            if self.processes[rank].poll() is None:
                kill_tree(self.processes[rank].pid)


class Soak:
    """The run that is killed; a line of DIR/attempts.jsonl for each attempt."""

    def __init__(self, command: Train, folder: pathlib.Path, steps: int, seed: int):
        """Goes on after the attempts that there were."""
        self._command, self._folder, self._steps = command, folder, steps
        self._file = folder.with_name("attempts.jsonl")
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        self.attempts: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self._rng = random.Random(f"{seed} {len(self.attempts)}")
        self.is_over = any(attempt["ending"] == "finished" for attempt in self.attempts)

    def attempt(self, until_s: float) -> None:
        """Starts the command, and kills it some steps after what it had reached.

        Args:
          until_s: when to stop it and raise Stopped.
        """
        began_s, first = time.monotonic(), last_step(self._folder)
        target = first + self._rng.randint(FEWEST, MOST)
        ranks = self._rng.choice([[0], [1], [0, 1]])
        delay_s = self._rng.uniform(0.0, 1.0)
        pair = Pair(self._command, self._folder)
        said: dict[str, Any] = {"ending": "killed", "killed": ranks, "from_step": first}
        while last_step(self._folder) < target and None in pair.codes():
            if time.monotonic() > until_s:
                pair.kill(range(PROCESSES))
                pair.wait(_NOTICE_S)
                self._note(said | {"ending": "stopped"}, began_s)
                raise Stopped
            if any(pair.codes()):  # One failed: the other one notices.
                break
            time.sleep(_POLL_S)
        time.sleep(delay_s)
        if pair.codes() == [None] * PROCESSES:
            pair.kill(ranks)
        try:
            said["codes"] = pair.wait(_NOTICE_S)
        except Failure as failure:
            said |= {"ending": "hung", "why": str(failure)}
        if said.get("codes") == [0] * PROCESSES:
            said |= {"ending": "finished", "killed": []}
            self.is_over = True
        elif not self._as_expected(said.get("codes", []), ranks):
            said["ending"] = "failed"
        self._note(said, began_s)

    def _as_expected(self, codes: list[int], ranks: list[int]) -> bool:
        """Whether the killed were killed and the other noticed, or was through with its work."""
        through = [0] if last_step(self._folder) >= self._steps else []
        return len(codes) == PROCESSES and all(
            code in [-signal.SIGKILL if rank in ranks else PeerLostError.exit_code, *through]
            for rank, code in enumerate(codes)
        )

    def _note(self, said: dict[str, Any], began_s: float) -> None:
        said |= {
            "to_step": last_step(self._folder),
            "seconds": round(time.monotonic() - began_s, 1),
        }
        self.attempts.append(said)
        with self._file.open("a") as file:
            file.write(json.dumps(said) + "\n")
        print(json.dumps(said), flush=True)


def last_step(folder: pathlib.Path) -> int:
    """Returns the newest step that is logged, 0 without one."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read().split(b"\n")[:-1]
    for line in reversed(lines):
        try:
            record = json.loads(line)
        except ValueError:  # Cut off by a kill, or by where the reading began.
            continue
        if record.get("kind") == "train":
            return int(record["step"])
    return 0


def quiet_run(command: Train, folder: pathlib.Path, until_s: float) -> dict[str, Any]:
    """Makes the run that is the measure, or the rest of it.

    When the time is over it is told to stop, saves, and goes on another time; one that was cut off
    is begun anew.

    Returns:
      Its seconds, and how often it was told to stop.

    Raises:
      Stopped: the time is over.
    """
    file = folder.with_name("quiet.json")
    told: dict[str, Any] = {"state": "running"}
    if file.exists():
        told = json.loads(file.read_text())
    if told["state"] == "finished":
        return told
    if told["state"] == "running":
        shutil.rmtree(folder, ignore_errors=True)
        told = {"seconds": 0.0, "stops": 0}
    file.write_text(json.dumps({"state": "running"}))
    began_s = time.monotonic()
    pair = Pair(command, folder)
    while None in pair.codes() and time.monotonic() < until_s:
        time.sleep(_POLL_S)
    if None in pair.codes():
        pair.tell_to_stop()
    codes = pair.wait(_NOTICE_S)
    is_over = not any(codes)
    if not is_over and codes != [PreemptedError.exit_code] * PROCESSES:
        raise SystemExit(f"the quiet run ended with {codes}: see {folder}_0.log")
    told["seconds"] = round(told["seconds"] + time.monotonic() - began_s, 1)
    told["stops"] += not is_over
    told["state"] = "finished" if is_over else "stopped"
    file.write_text(json.dumps(told))
    if not is_over:
        raise Stopped
    return told


def main() -> int:
    """Runs it all; returns the exit code."""
    args = parse_args()
    work = pathlib.Path(args.work_dir).resolve()
    work.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    until_s = began_s + 60 * args.max_minutes
    killed_children.set_environment(work)
    killed_children.import_everything(("train",))
    data = work / "data"
    if not (data / "manifest.json").exists():
        made = Target(PrepareMiniflan("miniflan", work), work).run_quietly()
        made.rename(data)
    command = Train("soak", work, args.steps, args.period, data, decoder=True)
    result: dict[str, Any] = {"steps": args.steps, "period": args.period, "seed": args.seed}
    try:
        result["quiet_run"] = quiet_run(command, work / "quiet", until_s)
        print(f"quiet run: {result['quiet_run']['seconds']:.0f} s", flush=True)
        soak = Soak(command, work / "killed", args.steps, args.seed)
        while not soak.is_over:
            soak.attempt(until_s)
            endings = collections.Counter(attempt["ending"] for attempt in soak.attempts)
            if endings["failed"] + endings["hung"] > _MOST_FAILURES:
                raise SystemExit(f"attempts ended with errors: {dict(endings)}")
    except Stopped:
        print("stopped; the same command goes on", flush=True)
        return 1
    found = {name: command.outcome(work / name) for name in ("quiet", "killed")}
    lines = differences(found["quiet"], found["killed"])
    killed = [attempt for attempt in soak.attempts if attempt["ending"] == "killed"]
    result |= {
        "attempts": dict(collections.Counter(attempt["ending"] for attempt in soak.attempts)),
        "kills": len(killed),
        "of_both": sum(len(attempt["killed"]) == PROCESSES for attempt in killed),
        "restarts": len(soak.attempts) - 1,
        "killed_run_s": round(sum(attempt["seconds"] for attempt in soak.attempts), 1),
        "arrays_compared": sum(name.startswith("array ") for name in found["quiet"]),
        "records_compared": sum(not name.startswith("array ") for name in found["quiet"]),
        "differences": lines[:20],
        "num_differences": len(lines),
        "unexpected_endings": [
            attempt for attempt in soak.attempts if attempt["ending"] in ("failed", "hung")
        ],
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.json:
        pathlib.Path(args.json).write_text(text + "\n", encoding="utf-8")
    return 1 if lines or result["unexpected_endings"] else 0


if __name__ == "__main__":
    sys.exit(main())
