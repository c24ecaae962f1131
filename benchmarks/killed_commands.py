"""The commands that `benchmarks.kill_points` kills, and what of them must not differ or be lost."""

import abc
import hashlib
import json
import pathlib
import shutil
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.killed_children import TEST_TASKS, Mark, in_child

# Of a task's rows few are needed, and generating them takes time.
_MINIFLAN = ("--gin.miniflan.Settings.pool=600", "--gin.miniflan.Settings.eval_examples=12")
_LENGTHS = {"inputs": 24, "targets": 8}
_TIMINGS = {
    *("time_s", "step_s", "tokens_per_s", "padded_tokens_per_s", "data_wait", "mfu"),
    *("decode_tokens_per_s", "seconds"),
}
# Recipe, and what of its model is made smaller.
_WIDTHS = ("emb_dim=16", "mlp_dim=16", "num_heads=1")
_ENCODER_DECODER = (
    "miniflan",
    [f"T5Config.{x}" for x in (*_WIDTHS, "num_encoder_layers=1", "num_decoder_layers=1")],
)
_DECODER = ("miniflan_decoder", [f"DecoderConfig.{x}" for x in (*_WIDTHS, "num_layers=1")])
# What the tasks of a test module are made with; see there.
_TASKS = {"rows": 60}


class Command(abc.ABC):
    """A command that is killed and started again.

    Attributes:
      what: 'train', 'prepare' or 'eval'.
      name: of this variant.
      phases: the first is that of the start.
      has_workers: whether it starts processes, and is killed with them from outside alone.
      environment: variables that it needs.
    """

    what: str
    phases: tuple[str, ...]
    has_workers = False

    def __init__(self, name: str, work: pathlib.Path):
        """Makes it; `work` is the folder of the benchmark."""
        self.name, self._work = name, work
        self.environment: dict[str, str] = {}

    @abc.abstractmethod
    def argv(self, folder: pathlib.Path) -> list[str]:
        """Returns the arguments of `flan-jax` to write to a folder."""

    @abc.abstractmethod
    def marks(self) -> Sequence[Mark]:
        """Returns what the phases are; called in the child."""

    @abc.abstractmethod
    def outcome(self, folder: pathlib.Path) -> dict[str, Any]:
        """Returns what a finished run left, by name; all of it must equal a quiet run's."""

    @abc.abstractmethod
    def kept(self, folder: pathlib.Path) -> set[str]:
        """Returns what is finished in a run that was killed, and must never be lost.

        Raises:
          Damage: a file that has its name is not whole.
        """

    def lost(self, before: set[str], now: set[str]) -> set[str]:
        """Returns what was kept before and is no longer, though it should be."""
        return before - now

    def begin(self, folder: pathlib.Path) -> None:
        """Makes what is there before a run: nothing, if not overridden."""
        del folder


class Damage(Exception):
    """A kill left a file that is not whole under its own name."""


class Train(Command):
    """`flan-jax train`: a small MiniFLAN model, checkpoints, evaluations."""

    what = "train"
    phases = ("start", "train", "save", "eval")

    def __init__(
        self,
        name: str,
        work: pathlib.Path,
        steps: int,
        period: int,
        prepared: pathlib.Path | None = None,
        *,
        decoder: bool = False,
    ):
        """Makes it.

        Args:
          name: of the variant.
          work: the benchmark's folder.
          steps: of a run.
          period: steps between checkpoints.
          prepared: folder of prepared data; None to read the tasks.
          decoder: a decoder alone, of fewer arrays, in place of an encoder and a decoder.
        """
        super().__init__(name, work)
        self._steps, self._period, self._prepared = steps, period, prepared
        self._recipe, self._model = _DECODER if decoder else _ENCODER_DECODER

    def argv(self, folder: pathlib.Path) -> list[str]:
        """A run with an evaluation half-way and at the end."""
        return [
            *("train", f"--gin_file=runs/{self._recipe}.gin", f"--model_dir={folder}", *_MINIFLAN),
            '--gin.MIXTURE_OR_TASK_NAME="miniflan_task_id_train"',
            f"--gin.TASK_FEATURE_LENGTHS={_LENGTHS}",
            *([f'--gin.PREPARED_DIR="{self._prepared}"'] if self._prepared else []),
            f"--gin.TRAIN_STEPS={self._steps}",
            f"--gin.EVAL_PERIOD={self._steps // 2}",
            *("--gin.EVAL_STEPS=1", "--gin.BATCH_SIZE=4", "--gin.DROPOUT_RATE=0.1"),
            *(f"--gin.network.{setting}" for setting in self._model),
            f"--gin.utils.SaveCheckpointConfig.period={self._period}",
            "--gin.train/utils.DatasetConfig.snapshot_period=4",
            "--gin.train_script.train.stats_period=1",
            "--gin.train_script.train.run_eval_before_training=False",
            "--gin.train_script.train.tensorboard=False",
            "--gin.train_script.train.infer_eval_dataset_cfg=None",
        ]

    def marks(self) -> Sequence[Mark]:
        """A write goes on in the background until it is waited for."""
        from flan_jax import checkpoint_writer, evaluations, starting

        return (
            (starting, "begin", "start", "train"),
            (checkpoint_writer.Writer, "start", "save", "save"),
            (checkpoint_writer.Writer, "finish", "save", "train"),
            (evaluations.Evaluations, "run", "eval", None),
        )

    def outcome(self, folder: pathlib.Path) -> dict[str, Any]:
        """CRC-32 of all arrays of the last checkpoint; all losses and figures of evaluations."""
        return {
            **{f"array {k}": v for k, v in in_child(arrays_crc, self.last(folder)).items()},
            **losses(folder),
        }

    def last(self, folder: pathlib.Path) -> pathlib.Path:
        """Returns the last checkpoint of a finished run."""
        return folder / f"checkpoint_{self._steps}"

    def kept(self, folder: pathlib.Path) -> set[str]:
        """The newest checkpoint; all that are there must be whole."""
        from flan_jax import checkpoint_files

        steps = checkpoint_files.list_steps(folder) if folder.is_dir() else []
        for step in steps:
            why = checkpoint_files.damage(checkpoint_files.step_dir(folder, step))
            if why is not None:
                raise Damage(f"checkpoint_{step}: {why}")
        return {str(max(steps))} if steps else set()

    def lost(self, before: set[str], now: set[str]) -> set[str]:
        """Older checkpoints make way for newer ones."""
        newest = max(map(int, now), default=-1)
        return {step for step in before if int(step) > newest}


class Prepare(Command):
    """`flan-jax prepare` of three small tasks: by number, of one template, and as a stream."""

    what = "prepare"
    phases = ("start", "write", "manifest", "sweep")

    def __init__(
        self,
        name: str,
        work: pathlib.Path,
        *,
        settings: Mapping[str, Any] = _TASKS,
        update_of: pathlib.Path | None = None,
        workers: int = 0,
    ):
        """Makes it.

        Args:
          name: of the variant.
          work: the benchmark's folder.
          settings: of the tasks: rows, a template.
          update_of: a folder made with other settings, a copy of which is brought up to date.
          workers: processes of Beam's local runner; 0 for `--runner=none`.
        """
        super().__init__(name, work)
        self._old, self._workers = update_of, workers
        self.has_workers = workers > 0
        path = work / f"tasks_{name}.json"
        path.write_text(json.dumps(dict(settings)))
        self.environment = {"FLAN_JAX_TEST_PREPARE": str(path)}

    def argv(self, folder: pathlib.Path) -> list[str]:
        """Shards of four rows, two renderings each."""
        runner = ["local", f"--workers={self._workers}"] if self._workers else ["none"]
        return [
            *("prepare", "p_all", f"--module={TEST_TASKS}", f"--output={folder}"),
            *("--input_length=20", "--target_length=6", "--shard_rows=4", "--renderings=2"),
            *("--runner", *runner),
        ]

    def begin(self, folder: pathlib.Path) -> None:
        """An update begins with what it updates."""
        if self._old is not None:
            shutil.copytree(self._old, folder)

    def marks(self) -> Sequence[Mark]:
        """Surveying the tasks belongs to the start."""
        from flan_jax.data.prepared import assembly, engine, plan

        return (
            (engine, "run", "write", None),
            (assembly, "write_manifest", "manifest", "sweep"),
            (plan, "sweep", "sweep", "sweep"),
        )

    def outcome(self, folder: pathlib.Path) -> dict[str, Any]:
        """SHA-256 of every file in the folder."""
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def kept(self, folder: pathlib.Path) -> set[str]:
        """The shards of the manifest or, where it is away, of finished parts."""
        from flan_jax.data.prepared import layout, manifest, work

        files = []
        for name in (layout.MANIFEST, f"{layout.PROGRESS}/previous.json"):
            # An update replaces what the manifest names that it put aside.
            if (folder / name).exists() and (name == layout.MANIFEST or self._old is None):
                content = (folder / name).read_bytes()
                files += manifest.from_bytes(content, str(folder / name)).files
                break
        else:
            records = sorted((folder / layout.PROGRESS).glob("*[0-9].json"))
            shards = [s for path in records for s in work.read_record(path.read_bytes()).shards]
            files += [file for shard in shards for file in (shard.records, shard.index)]
        for file in files:
            path = folder / file.path
            if not path.exists() or layout.sha256(path) != file.sha256:
                raise Damage(f"{file.path} is missing or not whole")
        return {file.path for file in files if file.path != layout.INDEX}

    def lost(self, before: set[str], now: set[str]) -> set[str]:
        """What an update replaces is not lost."""
        return set() if self._old else super().lost(before, now)


class PrepareMiniflan(Prepare):
    """`flan-jax prepare` of what `Train` reads; it is not killed."""

    def argv(self, folder: pathlib.Path) -> list[str]:
        """Examples of the lengths that are trained."""
        return [
            *("prepare", "miniflan_task_id_train", "--module=tasks.miniflan", *_MINIFLAN),
            *(f"--output={folder}", "--runner=none"),
            *(f"--{name[:-1]}_length={length}" for name, length in _LENGTHS.items()),
        ]


class Evaluate(Command):
    """`flan-jax eval` of a checkpoint on tasks, or on a suite, which keeps a journal."""

    what = "eval"
    phases = ("start", "decode", "write", "loss")

    def __init__(
        self, name: str, work: pathlib.Path, model_dir: pathlib.Path, *, suites: bool = False
    ):
        """Makes it.

        Args:
          name: of the variant.
          work: the benchmark's folder.
          model_dir: a finished run's.
          suites: ask a suite in place of the tasks.
        """
        super().__init__(name, work)
        self._model_dir, self._suites = model_dir, suites
        if suites:
            self._benchmark = work / "gsm8k"
            self._benchmark.mkdir(exist_ok=True)
            rows = ({"question": f"{i} and {i} ?", "answer": f"#### {2 * i}"} for i in range(40))
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (self._benchmark / "test.jsonl").write_text(lines)

    def argv(self, folder: pathlib.Path) -> list[str]:
        """A dozen batches."""
        if self._suites:
            return [
                *("eval", str(self._model_dir), "--suites=gsm8k_cot"),
                f'--gin.SUITES_OUTPUT_DIR="{folder}"',
                f'--gin.tasks.Benchmarks.folders={{"gsm8k": "{self._benchmark}"}}',
                '--gin.suites.SuiteOptions.shots={"gsm8k_cot": 0}',
                '--gin.suites.SuiteOptions.max_tokens={"gsm8k_cot": 4}',
            ]
        return [
            *("eval", str(self._model_dir), f'--gin.INFER_OUTPUT_DIR="{folder}"'),
            '--gin.MIXTURE_OR_TASK_NAME="miniflan_task_id_eval"',
            '--gin.train/utils.DatasetConfig.split="validation"',
        ]

    def marks(self) -> Sequence[Mark]:
        """Files of results are written one after the other."""
        from flan_jax.eval import journal, runner, whole_files
        from flan_jax.eval.suites import runner as suites

        return (
            (runner, "evaluate_tasks", "decode", None),
            (suites, "evaluate_suites", "decode", None),
            (runner, "train_eval", "loss", None),
            (whole_files, "write", "write", None),
            (journal.Journal, "put", "write", None),
        )

    def outcome(self, folder: pathlib.Path) -> dict[str, Any]:
        """Rows and figures without timings. A page, which shows them, must be there."""
        found: dict[str, Any] = {}
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.suffix == ".html":
                found[name] = "a page"
            elif path.suffix == ".json":
                found[name] = _without_timings(json.loads(path.read_text()))
            elif path.is_file() and path.name != "journal.jsonl" and not _is_probe(path):
                found[name] = path.read_text()
        return found

    def kept(self, folder: pathlib.Path) -> set[str]:
        """Batches in the journal. Every other file must be whole."""
        for path in folder.rglob("*.json*"):
            if path.suffix == ".tmp" or path.name == "journal.jsonl":
                continue
            whole = path.suffix == ".json"
            text = path.read_text()
            try:
                for line in [text] if whole else text.splitlines():
                    json.loads(line)
            except ValueError as error:
                raise Damage(f"{path.name}: {error}") from error
        kept = set()
        for path in folder.rglob("journal.jsonl"):
            for line in path.read_bytes().split(b"\n"):
                crc, _, body = line.partition(b" ")
                if crc and crc == b"%08x" % zlib.crc32(body):
                    kept.add(json.loads(body)[0])
        return kept


def _is_probe(path: pathlib.Path) -> bool:
    """Whether a file only tried, at a start, if the folder can be written; a kill leaves it."""
    return path.name.startswith(".write_test_")


def _without_timings(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_timings(v) for k, v in value.items() if k not in _TIMINGS}
    return value


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
    from etils import epath

    from flan_jax import checkpoint_arrays

    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    found = {}
    for item in ("params", "train"):
        saved = checkpoint_arrays.saved_arrays(directory, item)
        wanted = {name: jax.ShapeDtypeStruct(*saved[name], sharding=here) for name in saved}
        arrays = checkpoint_arrays.read(
            epath.Path(directory), item, checkpoint_arrays.nested(wanted)
        )
        for name, array in checkpoint_arrays.flat(arrays).items():
            found[name] = zlib.crc32(np.asarray(array).tobytes())
    return found
