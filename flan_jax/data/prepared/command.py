"""`flan-jax prepare`: a mixture's examples into files, going on where an earlier run stopped."""

import argparse
import dataclasses
import importlib.metadata
import os
import platform
import sys
import threading
import time
from typing import Any

from etils import epath

from flan_jax import gin_trust, gin_utils
from flan_jax.data.config import DatasetConfig, with_lengths
from flan_jax.data.prepared import engine, layout, work
from flan_jax.data.prepared import plan as plans
from flan_jax.data.prepared.manifest import Manifest, PreparedFeature
from flan_jax.errors import ConfigError, DataError

# Macros of a recipe that stand in for flags, with what holds without either.
MACROS = {
    "MIXTURE_OR_TASK_NAME": None,
    "MIXTURE_OR_TASK_MODULE": None,
    "TASK_FEATURE_LENGTHS": {"inputs": 512, "targets": 128},
    "RANDOM_SEED": 0,
}
_LIBRARIES = ("flan-jax", "seqio", "tensorflow", "sentencepiece", "numpy", "array_record")
_FLAGS = (
    "--output --module --split --input_length --target_length --seed --renderings --shard_rows "
    "--runner --workers --dry_run --replace --gin_file --gin_search_paths --gin_bindings"
).split()
_LOCAL_PERIOD_S, _REMOTE_PERIOD_S = 5.0, 60.0
# A line is also shown after so many periods in which nothing was finished.
_QUIET_PERIODS = 6
_NAMED = 12


def command(args: argparse.Namespace) -> None:
    """Prepares what the flags ask for.

    Raises:
      ConfigError: a flag's value is of no use, or a package is missing.
      NotFoundError: a name is not known.
      DataError: tasks cannot be read; all are named, and what is done stays done.
    """
    for flag in ("renderings", "shard_rows", "workers"):
        value = getattr(args, flag)
        if value is not None and value < 1:
            raise ConfigError(f"--{flag} is {value}; at least 1.")
    engine.check_options(args.runner, args.unknown, _FLAGS)
    module = [] if args.module is None else [f"MIXTURE_OR_TASK_MODULE = {args.module!r}"]
    text = gin_utils.parse(
        args.gin_file,
        [*args.gin_bindings, *module],
        args.gin_search_paths,
        entry="%MIXTURE_OR_TASK_NAME" if args.gin_file else "utils.DatasetConfig",
        consulted=[f"%{name}" for name in MACROS],
        trust=gin_trust.of_flags(args),
    )
    cfg = _config(args)
    folder = args.output.rstrip("/")
    if "://" not in folder:
        folder = os.path.abspath(folder)
    prepare(
        cfg,
        folder,
        gin_text=text,
        renderings=args.renderings,
        shard_rows=args.shard_rows,
        runner=args.runner,
        workers=args.workers,
        options=args.unknown,
        dry_run=args.dry_run,
        replace=args.replace,
    )


def _config(args: argparse.Namespace) -> DatasetConfig:
    macros = {name: gin_utils.macro_or(name, default) for name, default in MACROS.items()}
    name = args.name or macros["MIXTURE_OR_TASK_NAME"]
    if name is None:
        raise ConfigError(
            "flan-jax prepare needs a name: flan-jax prepare NAME --module MODULE --output DIR, or "
            "a gin file that sets MIXTURE_OR_TASK_NAME."
        )
    return DatasetConfig(
        mixture_or_task_name=name,
        task_feature_lengths=with_lengths(
            macros["TASK_FEATURE_LENGTHS"], args.input_length, args.target_length
        ),
        split=args.split,
        batch_size=1,
        shuffle=False,
        seed=macros["RANDOM_SEED"] if args.seed is None else args.seed,
        module=macros["MIXTURE_OR_TASK_MODULE"],
    )


def prepare(
    cfg: DatasetConfig,
    folder: str,
    *,
    gin_text: str = "",
    renderings: int = 1,
    shard_rows: int = 4096,
    runner: str = engine.LOCAL,
    workers: int | None = None,
    options: list[str] | None = None,
    dry_run: bool = False,
    replace: bool = False,
) -> Manifest | None:
    """Makes `folder` hold the examples of `cfg`'s mixture; see the command for the arguments.

    Returns:
      The manifest; None of a dry run.
    """
    from flan_jax.data import mixture, tokenizer_files
    from flan_jax.data.prepared.assembly import write_manifest

    shards_need(folder)
    resolved = mixture.resolve(cfg)
    line = _Line()
    tasks = plans.survey(cfg, resolved, renderings, shard_rows, line)
    plan = plans.make_plan(folder, tasks, shard_rows, cfg.mixture_or_task_name, replace)
    _say(_describe(plan))
    if dry_run:
        return None
    plan.begin()
    pending = plan.pending
    work.failures(folder)  # Of an earlier run.
    if pending:
        setup = work.Setup(
            folder,
            _plain_fields(cfg),
            gin_text,
            renderings,
            shard_rows,
            tuple(path for path in map(os.path.abspath, sys.path) if os.path.isdir(path)),
            work.launcher(),
            ends_with_launcher=runner == engine.LOCAL,
        )
        count = workers or len(os.sched_getaffinity(0))
        with _Progress(plan):
            engine.run(setup, pending, runner, min(count, len(pending)), options or [])
        _raise_failures(folder, plan)
        plan = plans.make_plan(folder, tasks, shard_rows, cfg.mixture_or_task_name, replace)
        if plan.pending:
            raise DataError(
                f"{len(plan.pending)} parts of the work were not done, such as "
                f"{plan.pending[0].record}, though no worker says why. Do the workers see "
                f"{folder}? Give --output a folder that they share with this machine."
            )
    features = {
        name: PreparedFeature(
            cfg.task_feature_lengths[name],
            tokenizer_files.identity(resolved.output_features[name].vocabulary),
            bool(resolved.output_features[name].add_eos),
        )
        for name in cfg.token_features
    }
    made = write_manifest(
        folder,
        plan.entries(),
        name=cfg.mixture_or_task_name,
        split=cfg.split,
        seed=cfg.seed,
        renderings=renderings,
        features=features,
        versions=_versions(),
    )
    removed = plans.sweep(folder, made)
    _say(_summary(folder, made, removed))
    return made


def shards_need(folder: str) -> None:
    """Raises ConfigError where shards cannot be written: no package, or no folder to write to."""
    from flan_jax.data.prepared import shards

    shards.array_record()
    try:
        layout.write_whole(epath.Path(folder) / layout.PROGRESS / "probe", b"")
        (epath.Path(folder) / layout.PROGRESS / "probe").unlink()
    except OSError as error:
        raise ConfigError(
            f"--output {folder} cannot be written: {error.strerror or error}. Give a folder that "
            "this user may write."
        ) from error


def _plain_fields(cfg: DatasetConfig) -> dict[str, Any]:
    fields = {f.name: getattr(cfg, f.name) for f in dataclasses.fields(cfg)}
    module = fields["module"]
    return fields | {
        "task_feature_lengths": dict(cfg.task_feature_lengths),
        "module": None if module is None else list(cfg.modules),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _raise_failures(folder: str, plan: plans.Plan) -> None:
    failed = work.failures(folder)
    if not failed:
        return
    lines = [f"  {task}: {message}" for task, message in failed[:_NAMED]]
    if len(failed) > _NAMED:
        lines.append(f"  and {len(failed) - _NAMED} more")
    raise DataError(
        f"{len(failed)} of the {len(plan.tasks)} tasks could not be prepared, so there is no "
        "manifest yet:\n" + "\n".join(lines) + "\nWhat is finished is kept: mend them, and the "
        "same command goes on from there."
    )


# ------------------------------------------------------------------------- what is shown


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _describe(plan: plans.Plan) -> str:
    units, done = len(plan.units), len(plan.done)
    lines = [
        f"{len(plan.tasks)} tasks in {units} parts; {done} parts are done, {units - done} to do."
    ]
    if plan.previous is not None:
        old = {name: parts for name, parts in plan.changed.items() if parts != ["new"]}
        for name, parts in [*old.items()][:_NAMED]:
            lines.append(f"  {name}: {', '.join(parts)} changed since it was prepared")
        if len(old) > _NAMED:
            lines.append(f"  and {len(old) - _NAMED} more changed tasks")
        new = len(plan.changed) - len(old)
        if new:
            lines.append(f"  {new} new tasks")
        if plan.dropped:
            lines.append(f"  no longer asked for: {', '.join(plan.dropped[:_NAMED])}")
    return "\n".join(lines)


def _summary(folder: str, made: Manifest, removed: list[str]) -> str:
    counts: dict[str, int] = {}
    for task in made.tasks:
        for name, count in task.counts.items():
            counts[name] = counts.get(name, 0) + count
    lines = [
        f"{made.num_examples:,} examples of {len(made.tasks)} tasks in {folder}, "
        f"{_size(made.bytes)}."
    ]
    for name, count in counts.items():
        if count and name != "examples":
            lines.append(f"  {count:,} {name.replace('_', ' ')}")
    if removed:
        lines.append(f"  {len(removed)} files of earlier runs removed")
    return "\n".join(lines)


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


class _Line:
    """Says something at most every few seconds."""

    def __init__(self):
        self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        if time.monotonic() - self._last >= _LOCAL_PERIOD_S:
            self._last = time.monotonic()
            _say(text)


class _Progress:
    """Tells, while units are done, how far they are, and what time and room they will take."""

    def __init__(self, plan: plans.Plan):
        rows = {task.name: task.rows or 0 for task in plan.tasks}
        self._units = {
            epath.Path(unit.record).name: (
                rows[unit.task] if unit.stop is None else unit.stop - unit.start
            )
            for unit in plan.pending
        }
        self._folder = epath.Path(plan.folder) / layout.PROGRESS
        self._period_s = _REMOTE_PERIOD_S if "://" in plan.folder else _LOCAL_PERIOD_S
        self._read: dict[str, tuple[int, int]] = {}
        self._start = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Progress":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        shown, waited = -1, 0
        while not self._over.wait(self._period_s):
            try:
                self._look()
            except OSError:
                continue  # A look that fails does not stop the work.
            waited += 1
            if len(self._read) != shown or waited == _QUIET_PERIODS:
                shown, waited = len(self._read), 0
                _say(self.text(time.monotonic() - self._start))

    def _look(self) -> None:
        for path in self._folder.iterdir():
            if path.name in self._units and path.name not in self._read:
                shards = work.read_record(path.read_bytes()).shards
                size = sum(shard.records.bytes + shard.index.bytes for shard in shards)
                self._read[path.name] = (sum(shard.examples for shard in shards), size)

    def text(self, seconds: float) -> str:
        """Returns the line, so many seconds after the start."""
        rows = sum(self._units[name] for name in self._read)
        examples, size = (sum(each[i] for each in self._read.values()) for i in (0, 1))
        share = rows / max(1, sum(self._units.values()))
        line = (
            f"{len(self._read)} of {len(self._units)} parts, {examples:,} examples, {_size(size)}, "
            f"{examples / max(seconds, 1e-3):,.0f} examples/s"
        )
        if share:
            left = seconds * (1 - share) / share
            line += f"; {left / 60:,.1f} min and {_size(size * (1 - share) / share)} to go"
        return line
