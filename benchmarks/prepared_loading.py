"""Loading prepared data against the live path: examples a second, start, look-up, fill.

    FLAN_JAX_COT_DIR=... FLAN_JAX_SUPER_NI_DIR=... FLAN_JAX_SENTENCEPIECE=.../spiece.model \
      python -m benchmarks.prepared_loading --prepared DIR

DIR is `flan-jax prepare --gin_file=runs/cot_super_ni_small.gin --input_length 1024
--target_length 256 --output DIR`. Both paths give packed batches of 64 rows of 1,024 and 256 tokens
of the same mixture; the live path packs from a pool of 256, as by default. `seqio` is what the same
mixture gives without us: seqio mixes the tasks, runs their preprocessors and hands out unpacked
examples. Prints JSON. seqio and the start over many tasks have processes of their own.
"""

import argparse
import json
import os
import pathlib
import resource
import tempfile
import time

from benchmarks import processes

LENGTHS = {"inputs": 1024, "targets": 256}
MANY = 1800


def dataset(prepared, **changes):
    """The configuration that both paths read by."""
    from flan_jax.data.config import DatasetConfig

    fields = {
        "mixture_or_task_name": "cot_super_ni",
        "task_feature_lengths": LENGTHS,
        "split": "train",
        "batch_size": 64,
        "shuffle": True,
        "seed": 0,
        "pack": True,
        "module": "tasks.real_data",
        "prepared_dir": prepared,
    }
    return DatasetConfig(**{**fields, **changes})


def rate(stream, batches: int) -> dict[str, float]:
    """Seconds to the first batch, and examples a second after it."""
    started, cpu = time.perf_counter(), time.process_time()
    next(stream)
    first = time.perf_counter() - started, time.process_time() - cpu
    before = stream.stats()["examples"]
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(batches):
        next(stream)
    taken = stream.stats()["examples"] - before
    return {
        "first_batch_s": first[0],
        "first_batch_cpu_s": first[1],
        "examples_per_s": taken / (time.perf_counter() - started),
        "examples_per_cpu_s": taken / (time.process_time() - cpu),
        "fill": stream.stats()["fill"],
    }


def run_seqio(examples: int) -> None:
    """Reads the mixture through seqio alone; prints seconds to the first example and the rate."""
    from flan_jax import configurables, gin_utils  # noqa: F401 - registers what the tasks read

    gin_utils.parse(
        ["runs/cot_super_ni_small.gin"], ['MODEL_DIR = "/tmp/none"'], [], "train_script.train"
    )
    from tasks import real_data

    started, cpu = time.perf_counter(), time.process_time()
    mixture = real_data.register()
    rows = mixture.get_dataset(LENGTHS, "train", shuffle=True, seed=0, num_epochs=None)
    stream = rows.as_numpy_iterator()
    next(stream)
    found = {
        "first_example_s": time.perf_counter() - started,
        "first_example_cpu_s": time.process_time() - cpu,
    }
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(examples):
        next(stream)
    found["examples_per_s"] = examples / (time.perf_counter() - started)
    found["examples_per_cpu_s"] = examples / (time.process_time() - cpu)
    print(json.dumps(found))


def write_many(folder: str) -> None:
    """1,800 small tasks."""
    import numpy as np

    from flan_jax.data.prepared.synthetic import write_synthetic

    generator = np.random.default_rng(0)
    lengths = {
        f"task{i:04d}": generator.integers((20, 2), (600, 60), (int(generator.integers(4, 40)), 2))
        for i in range(MANY)
    }
    write_synthetic(folder, lengths)


def start_many(folder: str) -> None:
    """Opens them and reads a batch; prints seconds and memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    from flan_jax.data.layout import ENCODER_DECODER
    from flan_jax.data.order.opening import open_plan
    from flan_jax.data.order.reading import BatchReader
    from flan_jax.data.prepared import read_manifest

    cfg = dataset(folder, mixture_or_task_name="synthetic", module=None)
    rates = {task.name: task.rate for task in read_manifest(folder).tasks}
    tasks, plan = open_plan(cfg, rates, ENCODER_DECODER)
    BatchReader(plan, tasks, cfg, ENCODER_DECODER)(0)
    wall, spent = time.perf_counter() - started, time.process_time() - cpu
    asked, cpu = time.perf_counter(), time.process_time()
    plan.step_rows(1_000_000)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps(
            {
                "tasks": MANY,
                "first_batch_s": wall,
                "first_batch_cpu_s": spent,
                "lookup_s": time.perf_counter() - asked,
                "lookup_cpu_s": time.process_time() - cpu,
                "peak_mib": peak / 1024,
                "peak_before_mib": before / 1024,
            }
        )
    )


def main() -> None:
    """Runs all parts and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", required=True)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--live_batches", type=int, default=20)
    parser.add_argument("--seqio_examples", type=int, default=2000)
    parser.add_argument("--part", choices=("many", "seqio"), help="used by this script itself")
    args = parser.parse_args()
    if args.part == "many":
        start_many(args.prepared)
        return
    if args.part == "seqio":
        run_seqio(args.seqio_examples)
        return
    this = "benchmarks.prepared_loading"
    from flan_jax import configurables, gin_utils  # noqa: F401 - registers what the tasks read
    from flan_jax.data.live import TrainIterator
    from flan_jax.data.mixture import resolve
    from flan_jax.data.order.iterator import PreparedIterator

    bindings = ['MODEL_DIR = "/tmp/none"']
    gin_utils.parse(["runs/cot_super_ni_small.gin"], bindings, [], "train_script.train")
    found = {"load_average": os.getloadavg()[0], "cores": os.cpu_count()}
    mixture = resolve(dataset(args.prepared))
    prepared = PreparedIterator(dataset(args.prepared), mixture=mixture)
    found["prepared"] = rate(prepared, args.batches)
    plan = prepared.plan
    started, cpu = time.perf_counter(), time.process_time()
    plan.step_rows(1_000_000)
    found["lookup_s"] = time.perf_counter() - started
    found["lookup_cpu_s"] = time.process_time() - cpu
    found["plan"] = {k: v for k, v in plan.summary()[0].items() if k != "shares"}
    prepared.close()
    live = TrainIterator(dataset(None), mixture=mixture)
    found["live"] = rate(live, args.live_batches)
    found["times_as_fast"] = found["prepared"]["examples_per_s"] / found["live"]["examples_per_s"]
    found["seqio"] = processes.measure(
        this, part="seqio", prepared=args.prepared, seqio_examples=args.seqio_examples
    )
    ratio = found["prepared"]["examples_per_s"] / found["seqio"]["examples_per_s"]
    found["times_as_fast_as_seqio"] = ratio
    with tempfile.TemporaryDirectory() as folder:
        many = str(pathlib.Path(folder, "many"))
        write_many(many)
        found["many"] = processes.measure(this, part="many", prepared=many)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
