"""Commands killed at random points and started again: does the end differ from a quiet run's?

  python -m benchmarks.kill_points --points=100 --real=10 --json=result.json

Killed are `flan-jax train` (from tasks, and from prepared data), `prepare` (into a new folder, and
an update of one; with Beam's workers too) and `eval` (of tasks, and of a suite). Of each, one quiet
run is the measure. Then a run is begun, killed at a random point, started again with the same
command, killed again ... until it gets to its end, and a new one is begun, until there were enough
kills. Kills are of two kinds: the process ends itself without any clean-up (`os._exit`) at a random
file operation or after a random time; or, `--real`, it gets SIGKILL from outside, and with it all
its workers.

After every kill, what has its own name must be whole (checkpoints, shards, results), and nothing
that was finished may be gone. At the end all of it must equal the quiet run's to the last bit:
arrays, losses by step and evaluations of `train`; every byte of the folder of `prepare`; rows and
report of `eval`. Exits with 1 where something differs.

Children are forked from a process that has imported everything, and share a compilation cache, so a
point costs seconds. It is for Linux.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from typing import Any

from benchmarks import killed_children
from benchmarks.killed_commands import Command, Evaluate, Prepare, PrepareMiniflan, Train
from benchmarks.killed_runs import SIGKILL, Target

_SAY_AFTER = 10


def parse_args() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--points", type=int, default=20, help="kills in all")
    parser.add_argument("--real", type=int, default=5, help="of them by SIGKILL from outside")
    parser.add_argument(
        "--workers", type=int, default=0, help="of these, of prepare with two workers of Beam's"
    )
    parser.add_argument(
        "--what",
        default="train=1,prepare=2,eval=2",
        help="commands and their shares of the points; default: train=1,prepare=2,eval=2",
    )
    parser.add_argument("--steps", type=int, default=12, help="of a run of train")
    parser.add_argument("--period", type=int, default=3, help="steps between checkpoints")
    parser.add_argument("--parallel", type=int, default=1, help="runs at a time")
    parser.add_argument("--seed", type=int, default=0, help="of the points")
    parser.add_argument("--max_minutes", type=float, default=1e9, help="stop after this long")
    parser.add_argument("--json", help="file for the result")
    parser.add_argument("--work_dir", help="kept; a temporary folder by default")
    args = parser.parse_args()
    args.what = {
        name: float(share or 1)
        for name, _, share in (part.partition("=") for part in args.what.split(","))
    }
    return args


def make_targets(args: argparse.Namespace, work: pathlib.Path) -> dict[str, list[Target]]:
    """Returns the variants of the commands, with their quiet runs; 'workers' is one of its own."""
    targets: dict[str, list[Target]] = {"workers": []}

    def add(command: Command, name: str = "") -> pathlib.Path:
        target = Target(command, work)
        folder, quiet = target.measure(), target.quiet
        print(
            f"{command.what}, {command.name}: {quiet.seconds:.1f} s, {quiet.events} file "
            f"operations, {len(quiet.outcome)} results",
            flush=True,
        )
        targets.setdefault(name or command.what, []).append(target)
        return folder

    if "prepare" in args.what:
        add(Prepare("new", work))
        old = Prepare("old", work, settings={"rows": 50, "second": "Two {number}s?"})
        add(Prepare("update", work, update_of=Target(old, work).run_quietly()))
        if args.workers:
            add(Prepare("workers", work, workers=2), "workers")
        made = [t.quiet.outcome for name in ("prepare", "workers") for t in targets.get(name, [])]
        assert all(one == made[0] for one in made), "new, updated and with workers: they differ"
    if "train" in args.what or "eval" in args.what:
        model_dir = add(Train("live", work, args.steps, args.period))
    if "train" in args.what:
        prepared = Target(PrepareMiniflan("miniflan", work), work).run_quietly()
        add(Train("prepared", work, args.steps, args.period, prepared))
    if "eval" in args.what:
        add(Evaluate("tasks", work, model_dir))
        add(Evaluate("suite", work, model_dir, suites=True))
    return targets


def make_plan(args: argparse.Namespace, targets: dict[str, list[Target]]) -> list[tuple]:
    """Returns (target, whether by SIGKILL) of all points, in random order."""
    total = sum(args.what.values())
    plan: list[Target] = []
    for name, share in args.what.items():
        count = round((args.points - args.workers) * share / total)
        plan += [targets[name][i % len(targets[name])] for i in range(count)]
    rng = random.Random(args.seed)
    rng.shuffle(plan)
    real = max(0, args.real - args.workers)
    points = [(target, number < real) for number, target in enumerate(plan)]
    points += [(target, True) for target in targets["workers"] for _ in range(args.workers)]
    rng.shuffle(points)
    return points


def drive(number: int, plan: Sequence[tuple], args: argparse.Namespace, until_s: float) -> None:
    """Does the points of a plan, and writes them and what came of them, a line each.

    Args:
      number: of this process.
      plan: (target, whether by SIGKILL) of each point.
      args: the flags.
      until_s: time at which no further point is begun.
    """
    rng = random.Random(f"{args.seed} {number}")
    targets = list(dict.fromkeys(target for target, _ in plan))
    for target in targets:
        target.move(f"process_{number}")
    began_s = time.monotonic()
    with points_file(args, number).open("w") as file:
        for done, (target, real) in enumerate(plan, 1):
            point = None
            while point is None and time.monotonic() < until_s:
                point = target.point(rng, real)
            if point is None:
                break
            file.write(json.dumps({"point": point}) + "\n")
            file.flush()
            if done % _SAY_AFTER == 0:
                each_s = (time.monotonic() - began_s) / done
                print(f"process {number}: {done} points, {each_s:.1f} s each", flush=True)
        for target in targets:
            target.finish()
            file.write(
                json.dumps(
                    {
                        "command": target.command.what,
                        "finished": target.finished,
                        "differences": target.differences,
                    }
                )
                + "\n"
            )


def points_file(args: argparse.Namespace, number: int) -> pathlib.Path:
    """Returns where a process writes its points."""
    return pathlib.Path(args.work_dir) / f"points_{number}.jsonl"


def summary(args: argparse.Namespace, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the counts of points and runs, and all differences."""
    points = [record["point"] for record in records if "point" in record]
    runs = [record for record in records if "finished" in record]
    by_command: dict[str, Any] = {}
    for what in args.what:
        of_command = [point for point in points if point["command"] == what]
        by_command[what] = {
            "points": len(of_command),
            **{
                f"by_{key}": dict(collections.Counter(point[key] for point in of_command))
                for key in ("variant", "kind", "phase")
            },
            "runs_compared": sum(run["finished"] for run in runs if run["command"] == what),
        }
    return {
        "points": len(points),
        "real_kills": sum(point["kind"] == SIGKILL for point in points),
        "commands": by_command,
        "runs_compared": sum(run["finished"] for run in runs),
        "differences": [line for run in runs for line in run["differences"]],
    }


def cpu_s() -> float:
    """Returns the seconds of processor time that this process and its children took."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> int:
    """Runs it all; returns the exit code."""
    args = parse_args()
    temporary = args.work_dir is None
    work = pathlib.Path(args.work_dir or tempfile.mkdtemp(prefix="kill_points_")).resolve()
    work.mkdir(parents=True, exist_ok=True)
    args.work_dir = str(work)
    began_s = time.monotonic()
    killed_children.set_environment(work)
    killed_children.import_everything(args.what)
    targets = make_targets(args, work)
    plan = make_plan(args, targets)
    until_s = began_s + 60 * args.max_minutes
    processes = []
    for number in range(args.parallel):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                drive(number, plan[number :: args.parallel], args, until_s)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        processes.append(pid)
    failed = [pid for pid in processes if os.waitpid(pid, 0)[1]]
    records = []
    for number in range(args.parallel):
        lines = points_file(args, number).read_text().splitlines()
        records += [json.loads(line) for line in lines]
    result = summary(args, records) | {
        "quiet_run_s": {
            target.command.name: round(target.quiet.seconds, 2)
            for target in dict.fromkeys(target for target, _ in plan)
        },
        "arguments": sys.argv[1:],
        "cpu_minutes": round(cpu_s() / 60, 1),
        "minutes": round((time.monotonic() - began_s) / 60, 1),
        "load": os.getloadavg(),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.json:
        pathlib.Path(args.json).write_text(text + "\n", encoding="utf-8")
    good = not failed and not result["differences"]
    if temporary and good:
        shutil.rmtree(work)
    return 0 if good and result["points"] >= args.points else 1


if __name__ == "__main__":
    sys.exit(main())
