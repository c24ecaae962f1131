"""Runs killed at random points, started again and again: does the end differ from a quiet run's?

  python -m benchmarks.kill_points --points=100 --real=10 --json=result.json

One quiet run is the measure. Then a run is begun, killed at a random point, started again with the
same command, killed again ... until it gets to its end, and a new one is begun, until there were
enough kills. Kills are of two kinds: the process ends itself without any clean-up (`os._exit`) at a
random file operation under MODEL_DIR or after a random time; or, `--real`, it gets SIGKILL from
outside after a random time. After every kill each checkpoint that has its name must be whole, and
the newest must not be older than before. At the end all arrays, all losses by step and the figures
of the evaluations must equal the quiet run's to the last bit. Exits with 1 where something differs.

Children are forked from a process that has imported everything, and share a compilation cache, so a
point costs seconds. It is for Linux.
"""

import argparse
import collections
import ctypes
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The programs run for milliseconds: compiling them quickly is what counts.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

import zlib

import numpy as np

_KILLED = 137
_PHASES = ("start", "train", "save", "eval")
_FILE_EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.scandir"}
_TIMINGS = {"time_s", "step_s", "tokens_per_s", "padded_tokens_per_s", "data_wait", "mfu"}


def parse_args() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--points", type=int, default=20, help="kills in all")
    parser.add_argument("--real", type=int, default=5, help="of them by SIGKILL from outside")
    parser.add_argument("--steps", type=int, default=12, help="of a run")
    parser.add_argument("--period", type=int, default=3, help="steps between checkpoints")
    parser.add_argument("--seed", type=int, default=0, help="of the points")
    parser.add_argument("--max_minutes", type=float, default=1e9, help="stop after this long")
    parser.add_argument("--json", help="file for the result")
    parser.add_argument("--work_dir", help="kept; a temporary folder by default")
    return parser.parse_args()


def command(model_dir: pathlib.Path, steps: int, period: int) -> list[str]:
    """The arguments of `flan-jax` for one run: a small MiniFLAN model, two evaluations."""
    return [
        *("train", "--gin_file=runs/miniflan.gin", f"--model_dir={model_dir}"),
        *(f"--gin.TRAIN_STEPS={steps}", f"--gin.EVAL_PERIOD={steps // 2}", "--gin.EVAL_STEPS=1"),
        *("--gin.BATCH_SIZE=4", "--gin.DROPOUT_RATE=0.1"),
        "--gin.network.T5Config.emb_dim=16",
        "--gin.network.T5Config.mlp_dim=16",
        "--gin.network.T5Config.num_heads=1",
        "--gin.network.T5Config.num_encoder_layers=1",
        "--gin.network.T5Config.num_decoder_layers=1",
        f"--gin.utils.SaveCheckpointConfig.period={period}",
        "--gin.train/utils.DatasetConfig.snapshot_period=4",
        "--gin.train_script.train.stats_period=1",
        "--gin.train_script.train.run_eval_before_training=False",
        "--gin.train_script.train.tensorboard=False",
        "--gin.train_script.train.infer_eval_dataset_cfg=None",
    ]


class Child:
    """One forked process that runs a command; `phase` says where it is."""

    def __init__(self, argv: list[str], event: int | None, after_s: float | None, log: str):
        """Starts it.

        Args:
          argv: of `flan-jax`.
          event: the number of the file operation at which it ends itself, from 1.
          after_s: the seconds after which it ends itself.
          log: file for its output.
        """
        self.phase = multiprocessing.Value(ctypes.c_int, 0, lock=False)
        self.events = multiprocessing.Value(ctypes.c_int, 0, lock=False)
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(argv, event, after_s, log)

    def _run(self, argv: list[str], event: int | None, after_s: float | None, log: str) -> None:
        code = 1
        try:
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            self._mark_phases()
            if event is not None:
                sys.addaudithook(self._hook(argv[2].split("=", 1)[1], event))
            else:
                sys.addaudithook(self._hook(argv[2].split("=", 1)[1], 1 << 60))
            if after_s is not None:
                timer = threading.Timer(after_s, lambda: os._exit(_KILLED))
                timer.daemon = True
                timer.start()
            from flan_jax import cli, last_words

            last_words.own_process()
            code = cli.main(argv)
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _hook(self, root: str, last: int) -> Any:
        def hook(event: str, args: tuple) -> None:
            if event in _FILE_EVENTS and args and str(args[0]).startswith(root):
                self.events.value += 1
                if self.events.value >= last:
                    os._exit(_KILLED)

        return hook

    def _mark_phases(self) -> None:
        from flan_jax import checkpoint_writer, evaluations

        def marked(owner: Any, name: str, phase: str, back: str | None) -> None:
            real = getattr(owner, name)

            def call(*args: Any, **kwargs: Any) -> Any:
                before = self.phase.value
                self.phase.value = _PHASES.index(phase)
                try:
                    return real(*args, **kwargs)
                finally:
                    self.phase.value = before if back is None else _PHASES.index(back)

            setattr(owner, name, call)

        # A write goes on in the background until it is waited for.
        marked(checkpoint_writer.Writer, "start", "save", "save")
        marked(checkpoint_writer.Writer, "finish", "save", "train")
        marked(evaluations.Evaluations, "run", "eval", None)

    def wait(self, kill_after_s: float | None = None) -> tuple[bool, str, float]:
        """Returns (was killed, phase at the end, seconds it ran); sends SIGKILL if asked to."""
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            ran_s = time.monotonic() - self.started
            if pid:
                break
            if kill_after_s is not None and ran_s >= kill_after_s:
                os.kill(self.pid, signal.SIGKILL)
                kill_after_s = None
            time.sleep(0.005)
        phase = _PHASES[self.phase.value]
        code = os.waitstatus_to_exitcode(status)
        if code not in (0, _KILLED, -signal.SIGKILL):
            raise SystemExit(f"the run ended with {code}: see its log")
        return code != 0, phase, ran_s


def losses(model_dir: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Figures by kind, step and task, without timings."""
    from flan_jax import telemetry

    kept = {}
    for record in telemetry.read_metrics(model_dir):
        if record["kind"] in ("train", "train_eval", "infer_eval"):
            values = {
                name: value
                for name, value in record.items()
                if name not in _TIMINGS and "memory" not in name and "bytes" not in name
            }
            kept[f"{record['kind']} {record['step']} {record.get('task', '')}"] = values
    return kept


def arrays_crc(directory: pathlib.Path) -> dict[str, int]:
    """Name -> CRC-32 of each array of a checkpoint. Run in a process of its own: it starts JAX."""
    import jax

    from flan_jax import checkpoint_arrays

    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    found = {}
    for item in ("params", "train"):
        saved = checkpoint_arrays.saved_arrays(directory, item)
        wanted = {name: jax.ShapeDtypeStruct(*saved[name], sharding=here) for name in saved}
        arrays = checkpoint_arrays.read(directory, item, checkpoint_arrays.nested(wanted))
        for name, array in checkpoint_arrays.flat(arrays).items():
            found[name] = zlib.crc32(np.asarray(array).tobytes())
    return found


def in_child(function: Any, *args: Any) -> Any:
    """Returns what a function returns in a forked process, which may start JAX."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            with os.fdopen(writer, "w") as file:
                json.dump(function(*args), file)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def whole_steps(model_dir: pathlib.Path) -> list[int]:
    """The steps that have a checkpoint; raises SystemExit where one of them is damaged."""
    from flan_jax import checkpoint_files

    steps = checkpoint_files.list_steps(model_dir) if model_dir.is_dir() else []
    for step in steps:
        why = checkpoint_files.damage(checkpoint_files.step_dir(model_dir, step))
        if why is not None:
            raise SystemExit(f"checkpoint_{step} in {model_dir} is damaged after a kill: {why}")
    return steps


def main() -> int:
    """Runs it all; returns the exit code."""
    args = parse_args()
    work = pathlib.Path(args.work_dir or tempfile.mkdtemp(prefix="kill_points_")).resolve()
    work.mkdir(parents=True, exist_ok=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(work / "xla_cache")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    _import_everything()
    rng = random.Random(args.seed)
    log = str(work / "log.txt")

    def start(model_dir: pathlib.Path, event: int | None = None, after_s: float | None = None):
        argv = command(model_dir, args.steps, args.period)
        return Child(argv, event, after_s, log)

    # Twice: the second finds all programs in the cache, and its length is that of the others.
    for name in ("warm", "quiet"):
        quiet = start(work / name)
        killed, _, quiet_s = quiet.wait()
        assert not killed
    events = quiet.events.value
    expected_losses = losses(work / "quiet")
    last = f"checkpoint_{args.steps}"
    expected_arrays = in_child(arrays_crc, work / "quiet" / last)
    assert expected_losses == losses(work / "warm"), "two quiet runs differ"
    print(f"quiet run: {quiet_s:.1f} s, {events} file operations", flush=True)

    points: list[dict[str, Any]] = []
    differences: list[str] = []
    finished, model_dir, newest = 0, work / "run_0", 0
    deadline = time.monotonic() + 60 * args.max_minutes
    real_left = args.real
    while time.monotonic() < deadline and (len(points) < args.points):
        real = rng.random() < real_left / max(1, args.points - len(points))
        by_event = not real and rng.random() < 0.5
        event = rng.randint(1, events) if by_event else None
        # Beyond a run's length too, so that some get to the end.
        moment_s = None if by_event else rng.uniform(0.0, 1.1 * quiet_s)
        child = start(model_dir, event, None if real else moment_s)
        killed, phase, ran_s = child.wait(moment_s if real else None)
        if killed:
            real_left -= real
            kind = "SIGKILL" if real else "file operation" if by_event else "timer"
            steps = whole_steps(model_dir)
            if max(steps, default=0) < newest:
                differences.append(f"{model_dir.name}: checkpoint {newest} was lost, left {steps}")
            newest = max(steps, default=0)
            points.append({"kind": kind, "phase": phase, "ran_s": round(ran_s, 2), "kept": newest})
            continue
        differences += _compare(model_dir, last, expected_losses, expected_arrays)
        finished += 1
        shutil.rmtree(model_dir)
        model_dir, newest = work / f"run_{finished}", 0
        print(f"{len(points)} kills, {finished} runs finished", flush=True)
    if points and model_dir.is_dir():  # The run under way is brought to its end in peace.
        start(model_dir).wait()
        differences += _compare(model_dir, last, expected_losses, expected_arrays)
        finished += 1
    result = {
        "points": len(points),
        "real_kills": sum(point["kind"] == "SIGKILL" for point in points),
        "by_kind": collections.Counter(point["kind"] for point in points),
        "by_phase": collections.Counter(point["phase"] for point in points),
        "runs_finished_and_compared": finished,
        "arrays_compared_a_run": len(expected_arrays),
        "records_compared_a_run": len(expected_losses),
        "differences": differences,
        "steps": args.steps,
        "period": args.period,
        "seed": args.seed,
        "quiet_run_s": round(quiet_s, 2),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.json:
        pathlib.Path(args.json).write_text(text + "\n", encoding="utf-8")
    if args.work_dir is None and not differences:
        shutil.rmtree(work)
    return 1 if differences or len(points) < args.points else 0


def _compare(
    model_dir: pathlib.Path, last: str, expected_losses: dict, expected_arrays: dict
) -> list[str]:
    found = losses(model_dir)
    arrays = in_child(arrays_crc, model_dir / last)
    lines = [
        f"{model_dir.name}: {key}: {expected_losses.get(key)} became {found.get(key)}"
        for key in sorted({*expected_losses, *found})
        if expected_losses.get(key) != found.get(key)
    ]
    return lines + [
        f"{model_dir.name}: array {name}"
        for name in sorted({*expected_arrays, *arrays})
        if expected_arrays.get(name) != arrays.get(name)
    ]


def _import_everything() -> None:
    """Imports what a run needs, without starting JAX's or TensorFlow's threads."""
    import importlib

    for name in (
        "seqio",
        "orbax.checkpoint",
        "flan_jax.configurables",
        "flan_jax.train",
        "flan_jax.evaluations",
        "flan_jax.data.live",
        "flan_jax.data.stream",
        "flan_jax.eval.runner",
        "tasks.miniflan",
    ):
        importlib.import_module(name)
    from jax._src import xla_bridge

    assert not xla_bridge.backends_are_initialized(), "a forked child could not use JAX"


if __name__ == "__main__":
    sys.exit(main())
