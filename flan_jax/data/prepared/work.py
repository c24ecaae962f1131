"""A unit of work: some rows of a task become shards. What a worker does, in whatever process.

The files of a unit depend on the task, its pipeline and the unit's rows, not on who works on it or
when. What is done is recorded in DIR/progress, a file a unit, written when its shards are in place;
so a unit that was killed leaves nothing but files under other names.
"""

import dataclasses
import functools
import hashlib
import importlib
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from etils import epath

from flan_jax.data.prepared import layout, manifest, shards
from flan_jax.errors import DataError, FlanJaxError

_WATCH_PERIOD_S = 0.5
_FAILED = ".failed"


@dataclasses.dataclass(frozen=True)
class Setup:
    """What all units of a run share; of plain values, so that it travels to workers.

    Attributes:
      folder: of the prepared data set.
      config: fields of the `DatasetConfig`.
      gin_text: the configuration, which task modules read.
      renderings: of each row.
      shard_rows: most examples of a shard, before renderings.
      python_path: folders from which the launching process imports.
      launcher: (host, process id) of it.
      ends_with_launcher: whether workers are its own, and end when it is gone.
    """

    folder: str
    config: Mapping[str, Any]
    gin_text: str
    renderings: int
    shard_rows: int
    python_path: tuple[str, ...] = ()
    launcher: tuple[str, int] | None = None
    ends_with_launcher: bool = False


@dataclasses.dataclass(frozen=True)
class Unit:
    """Rows of a task.

    Attributes:
      task: its name.
      pipeline: the hash of what decides its examples.
      number: of the unit's first shard in the task.
      start: first row.
      stop: row behind the last; None for a whole split that is read in seqio's order.
    """

    task: str
    pipeline: str
    number: int
    start: int
    stop: int | None

    @property
    def record(self) -> str:
        """Path of its record below DIR."""
        return f"{layout.PROGRESS}/{layout.task_folder(self.task)}-{self.number:05d}.json"


@dataclasses.dataclass(frozen=True)
class Record:
    """A unit that is done.

    Attributes:
      task, pipeline, number: the unit's.
      shards: its files.
    """

    task: str
    pipeline: str
    number: int
    shards: tuple[manifest.Shard, ...]

    def to_bytes(self) -> bytes:
        """Returns it as JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True).encode()


def read_record(content: bytes) -> Record:
    """Undoes `Record.to_bytes`."""
    fields = json.loads(content)
    return Record(shards=tuple(map(manifest.shard_of, fields.pop("shards"))), **fields)


def launcher() -> tuple[str, int]:
    """Returns what `Setup.launcher` holds for this process."""
    return socket.gethostname(), os.getpid()


def write_unit(setup: Setup, unit: Unit) -> str:
    """Writes the shards of a unit, and its record; returns the path of the record.

    What the user has to mend is written to a file beside the record instead, so that the other
    units go on, and all that is wrong is told at once.
    """
    folder = epath.Path(setup.folder)
    place = folder / unit.record
    if place.exists() and read_record(place.read_bytes()).pipeline == unit.pipeline:
        return unit.record  # An engine may run a unit again.
    _begin(setup)
    try:
        record = _make(setup, unit)
    except FlanJaxError as error:
        text = {"task": unit.task, "message": str(error), "exit_code": error.exit_code}
        layout.write_whole(folder / (unit.record + _FAILED), json.dumps(text).encode())
        return unit.record + _FAILED
    layout.write_whole(place, record.to_bytes())
    return unit.record


def failures(folder: Any) -> list[tuple[str, str]]:
    """Returns (task, message) of the units that failed, and forgets them."""
    found = {}
    progress = epath.Path(folder) / layout.PROGRESS
    for path in sorted(progress.glob(f"*{_FAILED}")) if progress.exists() else ():
        said = json.loads(path.read_bytes())
        found.setdefault(said["task"], said["message"])
        path.unlink()
    return sorted(found.items())


def _make(setup: Setup, unit: Unit) -> Record:
    from flan_jax.data.prepared import rendering

    task, cfg = _task(setup, unit.task)
    eos_id = task.output_features["targets"].vocabulary.eos_id
    selection = rendering.Selection(eos_id, setup.renderings)
    if unit.stop is None:
        examples = rendering.in_stream(task, cfg, setup.renderings)
        most = setup.shard_rows * setup.renderings
    else:
        examples = rendering.by_number(task, cfg, unit.start, unit.stop, setup.renderings)
        most = None  # However many its rows give: one shard.
    made: list[manifest.Shard] = []

    def new_writer() -> shards.ShardWriter:
        stem = layout.shard_stem(unit.task, cfg.split, unit.number + len(made))
        return shards.ShardWriter(setup.folder, stem, cfg.token_features)

    writer = new_writer()
    try:
        for one in examples:
            if not selection.takes(one):
                continue
            if writer.count == most:
                made.append(writer.finish(selection.take_counts()))
                writer = new_writer()
            writer.add(
                one.features,
                one.provenance,
                row=one.row,
                rendering=one.rendering,
                flags=one.flags,
                originals=one.originals,
            )
        made.append(writer.finish(selection.take_counts()))
    except BaseException:
        writer.abandon()
        raise
    return Record(unit.task, unit.pipeline, unit.number, tuple(made))


def _task(setup: Setup, name: str) -> tuple[Any, Any]:
    import seqio

    from flan_jax.data.config import DatasetConfig

    cfg = DatasetConfig(**setup.config)
    if name not in seqio.TaskRegistry.names():
        raise DataError(
            f"A worker does not find the task {name!r}: its modules {cfg.modules} registered it "
            "for the process that started it. Do both have the same files and environment?"
        )
    return seqio.TaskRegistry.get(name), cfg


# ------------------------------------------------------------------ once in each worker


def _begin(setup: Setup) -> None:
    """Makes the process ready for units of a run: configuration, modules, threads."""
    if setup.launcher == launcher():
        return  # All of this was done by the command.
    text = json.dumps(dataclasses.asdict(setup), sort_keys=True, default=str)
    _begin_once(hashlib.sha256(text.encode()).hexdigest(), _Held(setup))


class _Held:
    """A setup as an argument that does not count for a cache."""

    def __init__(self, setup: Setup):
        self.setup = setup

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)


@functools.lru_cache(maxsize=1)
def _begin_once(key: str, held: _Held) -> None:
    del key
    setup = held.setup
    if setup.launcher is not None and setup.ends_with_launcher:
        threading.Thread(target=_end_with, args=setup.launcher, daemon=True).start()
    for name in ("apache_beam", "__main__"):  # Beam's workers tell of each connection.
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.path += [folder for folder in setup.python_path if folder not in sys.path]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import gin
    import tensorflow as tf

    # The processes share the cores; a process is one of several workers.
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # TensorFlow was in use before.
        pass
    importlib.import_module("flan_jax.configurables")
    gin.clear_config()
    gin.parse_config(setup.gin_text)
    from flan_jax.data.config import DatasetConfig
    from flan_jax.data.mixture import import_task_module

    for module in DatasetConfig(**setup.config).modules:
        import_task_module(module)


def _end_with(host: str, process: int) -> None:
    """Ends this process when the one that launched it is gone; only on the same host."""
    if host != socket.gethostname():
        return
    while True:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            os._exit(1)
        except PermissionError:
            return
        time.sleep(_WATCH_PERIOD_S)
