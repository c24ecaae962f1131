"""What there is to do for a prepared data set, what of it is done, and what changed since.

`survey` looks at the tasks, `make_plan` at the folder. The manifest of a finished run is moved to
DIR/progress when a later one has something to do, so that nobody reads shards that are being
replaced; what it says of unchanged tasks still counts.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from etils import epath

from flan_jax.data import description
from flan_jax.data.prepared import layout, manifest, shards, work
from flan_jax.data.prepared.manifest import Manifest, Shard, TaskEntry
from flan_jax.errors import ConfigError, DataError, FlanJaxError

_PREVIOUS = f"{layout.PROGRESS}/previous.json"


@dataclasses.dataclass(frozen=True)
class Surveyed:
    """A task as it is now.

    Attributes:
      name, rate, group, templates: as in `manifest.TaskEntry`.
      rows: of its split; None where the source does not tell.
      pipeline: hash of each part that decides its examples.
      by_number: whether rows are had by number, so that its shards are made apart.
    """

    name: str
    rate: float
    group: str
    templates: tuple[str, ...]
    rows: int | None
    pipeline: Mapping[str, str]
    by_number: bool

    def units(self, shard_rows: int) -> list[work.Unit]:
        """Returns the units of work of the task."""
        from flan_jax.data.prepared.fingerprint import combined

        unit = functools.partial(work.Unit, self.name, combined(self.pipeline))
        if not self.by_number or self.rows is None:
            return [unit(0, 0, None)]
        starts = range(0, self.rows, shard_rows)
        return [unit(i, a, min(a + shard_rows, self.rows)) for i, a in enumerate(starts)]


def survey(
    cfg: Any,
    mixture: Any,
    renderings: int,
    shard_rows: int,
    say: Callable[[str], None] = lambda text: None,
) -> list[Surveyed]:
    """Looks at all tasks of a mixture.

    Args:
      cfg: `DatasetConfig`.
      mixture: `ResolvedMixture` of it.
      renderings: of each row.
      shard_rows: rows of a shard.
      say: told now and then how far it is.

    Raises:
      DataError: a source cannot be read; all such tasks are named.
    """
    from flan_jax.data import batched
    from flan_jax.data.mixture import list_failures
    from flan_jax.data.prepared import fingerprint

    hasher, found, failed = fingerprint.Hasher(), [], []
    for number, share in enumerate(mixture.shares, 1):
        task = share.task
        say(f"looking at task {number} of {len(mixture.shares)}: {share.name}")
        try:
            pipeline = fingerprint.pipeline_of(task, cfg, renderings, shard_rows, hasher)
            by_number = batched.takes_numbers(task, cfg)
            rows = task.num_input_examples(cfg.split)
        except FlanJaxError as error:
            failed.append((share.name, error))
            continue
        except Exception as error:
            problem = DataError(f"{type(error).__name__}: {error}")
            failed.append((share.name, problem))
            continue
        carried = description.templates_of(task)
        templates = () if carried is None else tuple(map(_label, carried.templates))
        group = description.describe(share.name, cfg.modules).group
        rows = None if rows is None or math.isinf(rows) else int(rows)
        found.append(Surveyed(share.name, share.rate, group, templates, rows, pipeline, by_number))
    if failed:
        raise DataError(
            f"{len(failed)} of the {len(mixture.shares)} tasks of {mixture.name!r} cannot be read, "
            "and nothing was prepared:\n" + list_failures(failed)
        )
    return found


def _label(template: Any) -> str:
    """A template's name, or the beginning of its text."""
    name = getattr(template, "name", "") or ""
    text = name or str(getattr(template, "inputs", template))
    return text if len(text) <= 80 else f"{text[:77]}..."


@dataclasses.dataclass
class Plan:
    """A run of `flan-jax prepare`: its tasks, and what the folder has of them.

    Attributes:
      folder: of the prepared data set.
      tasks: as they are now.
      shard_rows: rows of a shard.
      previous: the manifest of an earlier run, if any.
      units: all units of work.
      done: of the units that need not be done, the record.
      changed: task -> parts of its pipeline that are not as in `previous`; ['new'] for a new one.
      dropped: tasks of `previous` that are not asked for any more.
    """

    folder: str
    tasks: list[Surveyed]
    shard_rows: int
    previous: Manifest | None
    units: list[work.Unit]
    done: dict[work.Unit, work.Record]
    changed: dict[str, list[str]]
    dropped: list[str]

    @property
    def pending(self) -> list[work.Unit]:
        """Units to do, the largest first: what is begun last should be short."""
        rows = {task.name: task.rows or 0 for task in self.tasks}
        left = [unit for unit in self.units if unit not in self.done]
        size = {u: rows[u.task] if u.stop is None else u.stop - u.start for u in left}
        return sorted(left, key=lambda unit: (-size[unit], unit.task, unit.number))

    def begin(self) -> None:
        """Takes the manifest out of sight, and records of units that are to be done again."""
        folder = epath.Path(self.folder)
        (folder / layout.PROGRESS).mkdir(parents=True, exist_ok=True)
        # Their files are not what they were when it was written; a worker would believe it.
        for unit in self.pending:
            (folder / unit.record).unlink(missing_ok=True)
        if (folder / layout.MANIFEST).exists():
            (folder / layout.MANIFEST).replace(folder / _PREVIOUS)

    def entries(self) -> list[TaskEntry]:
        """Returns the tasks as the manifest will have them; all units must be done."""
        by_task: dict[str, list[work.Record]] = {}
        for unit in self.units:
            by_task.setdefault(unit.task, []).append(self.done[unit])
        found = []
        for task in self.tasks:
            records = by_task[task.name]
            found.append(
                TaskEntry(
                    task.name,
                    task.rate,
                    task.group,
                    task.rows,
                    dict(task.pipeline),
                    task.templates,
                    tuple(shard for record in records for shard in record.shards),
                )
            )
        return found


def make_plan(
    folder: str, tasks: list[Surveyed], shard_rows: int, name: str, replace: bool = False
) -> Plan:
    """Compares the tasks with what the folder has.

    Args:
      folder: of the prepared data set; it need not exist.
      tasks: as surveyed.
      shard_rows: rows of a shard.
      name: of the mixture.
      replace: whether the folder may hold another mixture, whose tasks are then dropped.

    Raises:
      ConfigError: it holds another mixture.
    """
    from flan_jax.data.prepared.fingerprint import changed

    previous = _previous(folder)
    if previous is not None and previous.name != name and not replace:
        raise ConfigError(
            f"{folder} holds the prepared data of {previous.name!r}, not of {name!r}. Give "
            "--output another folder, or --replace to drop the tasks that only the old one has."
        )
    old = {} if previous is None else {task.name: task for task in previous.tasks}
    units = [unit for task in tasks for unit in task.units(shard_rows)]
    by_task: dict[str, list[work.Unit]] = {}
    for unit in units:
        by_task.setdefault(unit.task, []).append(unit)
    done: dict[work.Unit, work.Record] = {}
    differs = {}
    for task in tasks:
        before = old.get(task.name)
        parts = ["new"] if before is None else changed(before.pipeline, task.pipeline)
        if parts:
            differs[task.name] = parts
        elif before is not None:
            done |= _of_manifest(folder, before, by_task[task.name])
    done |= _of_records(folder, [unit for unit in units if unit not in done])
    now = {task.name for task in tasks}
    dropped = sorted(set(old) - now)
    return Plan(folder, tasks, shard_rows, previous, units, done, differs, dropped)


def _previous(folder: str) -> Manifest | None:
    for name in (layout.MANIFEST, _PREVIOUS):
        path = epath.Path(folder) / name
        if path.exists():
            try:
                return manifest.from_bytes(path.read_bytes(), str(path))
            except DataError:
                # Made anew from the shards: only their records are trusted.
                continue
    return None


def _of_manifest(
    folder: str, entry: TaskEntry, units: list[work.Unit]
) -> dict[work.Unit, work.Record]:
    """The units of an unchanged task whose shards are there and whole."""
    if len(units) == 1 and units[0].stop is None:
        parts = [entry.shards]
    elif len(units) == len(entry.shards):
        parts = [(shard,) for shard in entry.shards]
    else:
        return {}
    return {
        unit: work.Record(unit.task, unit.pipeline, unit.number, tuple(part))
        for unit, part in zip(units, parts, strict=True)
        if all(_is_whole(folder, shard) for shard in part)
    }


def _of_records(folder: str, units: list[work.Unit]) -> dict[work.Unit, work.Record]:
    """The units that an unfinished run has done."""
    progress = epath.Path(folder) / layout.PROGRESS
    there = {path.name for path in progress.iterdir()} if progress.exists() else set()
    found = {}
    for unit in units:
        path = epath.Path(folder) / unit.record
        if path.name not in there:
            continue
        try:
            record = work.read_record(path.read_bytes())
        except (ValueError, KeyError, TypeError):
            continue  # Whatever it is, its unit is done again.
        if record.pipeline == unit.pipeline and all(
            _is_whole(folder, shard) for shard in record.shards
        ):
            found[unit] = record
    return found


def _is_whole(folder: str, shard: Shard) -> bool:
    """Whether both files are there; their content is read on this machine only."""
    for file in (shard.records, shard.index):
        path = epath.Path(folder) / file.path
        if not path.exists() or path.stat().length != file.bytes:
            return False
        if shards.is_local(folder) and layout.sha256(path) != file.sha256:
            return False
    return True


_OURS = re.compile(r".*(\.array_record|\.index\.npy)(\.\d+\.tmp)?\Z")


def sweep(folder: Any, kept: Manifest) -> list[str]:
    """Removes what the manifest does not name: progress, and files of ours of earlier runs.

    Returns:
      The paths below the folder of the shards that were removed.
    """
    folder = epath.Path(folder)
    named = {file.path for file in kept.files}
    removed = []
    tasks = folder / layout.TASKS
    for task in sorted(tasks.iterdir()) if tasks.exists() else ():
        if not task.is_dir():
            continue
        left = 0
        for path in sorted(task.iterdir()):
            below = f"{layout.TASKS}/{task.name}/{path.name}"
            if below not in named and _OURS.match(path.name):
                path.unlink()
                removed.append(below)
            else:
                left += 1
        if not left:
            task.rmdir()
    for path in folder.glob("*.tmp"):
        path.unlink()
    progress = folder / layout.PROGRESS
    if progress.exists():
        progress.rmtree()
    return removed
