"""Live data pipeline of a ten-data-set FLAN 2021 mixture, against regular-expression templates.

    FLAN_JAX_SENTENCEPIECE=.../spiece.model python -m benchmarks.flan2021_pipeline

Both sides read the same files, give each row one of its ten wordings, tokenise with the T5
vocabulary and pack into rows of 1,024 and 256 tokens. Ours is the training stream as it is. The
baseline does it the way the public FLAN code does: every template is filled in by a regular-
expression replacement per field, templates are told apart by batching and unbatching, and seqio
mixes and packs. `templates_only` leaves tokenising and packing out. `start` is the time to the
first packed row of all 69 training tasks, each of 2,000 short rows: our stream against the same
tasks mixed and packed by seqio. Each side runs in a process of its own, in turn.
"""

import argparse
import itertools
import json
import pathlib
import re
import sys
import tempfile
import time
from typing import Any

from benchmarks import processes

LENGTHS = {"inputs": 1024, "targets": 256}
PARTS = ("pipeline", "templates_only", "start")
SIDES = ("ours", "baseline")


def _register(folder: str, rows: int) -> None:
    from benchmarks import flan2021_rows
    from tasks.flan2021 import registry
    from tasks.settings import Flan2021

    files = flan2021_rows.write_files(pathlib.Path(folder), rows)
    registry.register(settings=Flan2021(files=files, only=flan2021_rows.NAMES))


def regex_templates(templates: Any) -> Any:
    """Returns a preprocessor that fills templates in by regular expressions.

    As the public code does: rows are batched by the number of templates, row i of a batch takes
    template i, and every field of the row is replaced wherever its name stands in braces.
    """
    import tensorflow as tf

    def fill(pattern: str, row: Any) -> Any:
        text = tf.constant(pattern)
        for field, value in row.items():
            if value.dtype != tf.string or value.shape.rank:
                continue
            # A backslash in the value would be a reference to a group.
            safe = tf.strings.regex_replace(value, r"\\", r"\\\\")
            text = tf.strings.regex_replace(text, re.escape("{" + field + "}"), safe)
        return text

    def preprocess(dataset: Any) -> Any:
        def fill_batch(batch: Any) -> Any:
            filled = [
                (fill(one.inputs, row), fill(one.targets, row))
                for i, one in enumerate(templates)
                for row in [{name: value[i] for name, value in batch.items()}]
            ]
            inputs, targets = zip(*filled, strict=True)
            return {**batch, "inputs": tf.stack(inputs), "targets": tf.stack(targets)}

        dataset = dataset.ragged_batch(len(templates), drop_remainder=True)
        dataset = dataset.map(fill_batch, num_parallel_calls=tf.data.AUTOTUNE)
        return dataset.unbatch()

    return preprocess


def _read_rows(dataset: Any) -> Any:
    """Returns a preprocessor from raw rows to fields and options block, row by row."""
    import tensorflow as tf

    def read(raw: Any) -> Any:
        row = dict(dataset.process(raw))
        items = tf.strings.reduce_join(tf.strings.join(["\n- ", row["options"]]))
        return {**row, "options_": tf.strings.join(["OPTIONS:", items])}

    def preprocess(rows: Any) -> Any:
        if dataset.keep is not None:
            rows = rows.filter(dataset.keep)
        return rows.map(read, num_parallel_calls=tf.data.AUTOTUNE)

    return preprocess


def _regex_tasks() -> list[str]:
    """Registers every task again, as seqio's own steps and regular expressions make it."""
    import seqio

    from benchmarks import flan2021_rows
    from tasks.flan2021.datasets import DATASETS

    names = []
    for name in flan2021_rows.NAMES:
        task = seqio.TaskRegistry.get(f"flan2021_{name}_10templates")
        names.append(f"regex_{name}")
        steps = [
            _read_rows(DATASETS[name]),
            regex_templates(DATASETS[name].templates()),
            seqio.preprocessors.tokenize,
            seqio.preprocessors.append_eos,
        ]
        seqio.TaskRegistry.add_provider(
            names[-1], task.replace(name=names[-1], preprocessors=steps)
        )
    return names


def _config(name: str) -> Any:
    from flan_jax.data.config import DatasetConfig

    return DatasetConfig(name, LENGTHS, "train", batch_size=8, shuffle=True, seed=0, pack=True)


def measure_start(side: str, rows: int = 2000) -> dict[str, float]:
    """Seconds until all training tasks, mixed, have given a packed row."""
    import importlib

    import seqio

    from flan_jax.data.live import TrainIterator
    from tasks.flan2021 import build, sources

    folder = pathlib.Path(__file__).resolve().parents[1] / "tests" / "tasks" / "flan2021"
    sys.path.insert(0, str(folder))
    modules = [importlib.import_module(f"rows.{path.stem}") for path in folder.glob("rows/*.py")]
    raw = {name: found for module in modules for name, found in module.ROWS.items()}

    def repeated(dataset: Any, *_: Any) -> Any:
        """The rows of the tests, over and over."""
        columns = sources.to_columns((raw[dataset.name] * rows)[:rows], dataset.name)
        return sources.NestedSource(dataset.name, lambda split: columns, list(dataset.splits))

    build.sources.make_source = repeated
    from tasks.flan2021 import registry

    registry.register()
    started = time.perf_counter()
    name = "flan2021_all_10templates_train"
    if side == "ours":
        next(TrainIterator(_config(name)))
    else:
        mixed = seqio.MixtureRegistry.get(name).get_dataset(
            LENGTHS, split="train", shuffle=True, seed=0, num_epochs=None
        )
        next(seqio.EncDecFeatureConverter(pack=True)(mixed, LENGTHS).as_numpy_iterator())
    return {"first_row_s": time.perf_counter() - started}


def measure_pipeline(side: str, examples: int) -> dict[str, float]:
    """Seconds to the first packed row, and examples/s over the next `examples` examples."""
    import seqio

    from benchmarks import flan2021_rows
    from flan_jax.data.live import TrainIterator
    from tasks import lazy

    started = time.perf_counter()
    if side == "ours":
        names = [f"flan2021_{name}_10templates" for name in flan2021_rows.NAMES]
        lazy.add_mixture("bench", lambda: {"tasks": [(name, 1.0) for name in names]})
        stream = TrainIterator(_config("bench"))

        def seen() -> int:
            return stream.stats()["examples"]
    else:
        lazy.add_mixture("bench", lambda: {"tasks": [(name, 1.0) for name in _regex_tasks()]})
        converter = seqio.EncDecFeatureConverter(pack=True)
        mixed = seqio.MixtureRegistry.get("bench").get_dataset(
            LENGTHS, split="train", shuffle=True, seed=0, num_epochs=None
        )
        stream = converter(mixed, LENGTHS).as_numpy_iterator()
        count = [0]

        def seen() -> int:
            return count[0]

    def take() -> None:
        row = next(stream)
        if side == "baseline":
            count[0] += int(row["encoder_segment_ids"].max())

    take()
    first_s = time.perf_counter() - started
    # Buffers fill up before the pace is that of the pipeline.
    while seen() < examples // 4:
        take()
    before, started = seen(), time.perf_counter()
    while seen() < before + examples:
        take()
    return {
        "first_row_s": first_s,
        "examples_per_s": (seen() - before) / (time.perf_counter() - started),
    }


def measure_templates(side: str, examples: int) -> dict[str, float]:
    """Examples/s of filling in templates alone, over rows in memory."""
    import seqio

    from benchmarks import flan2021_rows
    from tasks.flan2021.datasets import DATASETS

    total_s = 0.0
    for name in flan2021_rows.NAMES:
        task = seqio.TaskRegistry.get(f"flan2021_{name}_10templates")
        read, options, templates, _ = task.preprocessors
        if side == "baseline":
            templates = regex_templates(DATASETS[name].templates())
        rows = options(read(task.source.get_dataset("train", shuffle=False))).cache()
        rows = rows.repeat()
        for _ in itertools.islice(rows, task.source.num_input_examples("train")):
            pass  # Fills the cache.
        filled = iter(templates(rows))
        for _ in itertools.islice(filled, 50):
            pass
        started = time.perf_counter()
        for _ in itertools.islice(filled, examples):
            pass
        total_s += time.perf_counter() - started
    return {"examples_per_s": examples * len(flan2021_rows.NAMES) / total_s}


def _measure(side: str, part: str, examples: int) -> dict[str, float]:
    if part == "start":
        return measure_start(side)
    with tempfile.TemporaryDirectory() as folder:
        _register(folder, rows=2000)
        measure = measure_pipeline if part == "pipeline" else measure_templates
        return measure(side, examples)


def main() -> None:
    """Prints the figures of both sides and their ratios as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=SIDES, help="measure one side in this process")
    parser.add_argument("--part", choices=PARTS, default="pipeline")
    parser.add_argument("--examples", type=int, default=8000, help="examples timed")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(_measure(args.side, args.part, args.examples)))
        return
    found: dict[str, Any] = {}
    for part in PARTS:
        rounds = [
            {
                side: processes.measure(
                    "benchmarks.flan2021_pipeline",
                    side=side, part=part, examples=args.examples,
                )
                for side in SIDES
            }
            for _ in range(args.rounds)
        ]  # fmt: skip
        medians = {side: processes.medians([one[side] for one in rounds]) for side in SIDES}
        figure = "first_row_s" if part == "start" else "examples_per_s"
        ratio = medians["ours"][figure] / medians["baseline"][figure]
        found[part] = {**medians, f"{figure}_ours_over_baseline": ratio}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
