"""How much faster `flan-jax prepare` is with two processes than with one.

    python -m benchmarks.prepare cot_super_ni --module tasks.real_data --input_length 1024 \
        --target_length 256

Runs the command with --workers=1 and --workers=2, each into a new folder, and compares the folders
byte for byte. The arguments are the command's, without --output and --workers. Printed, as JSON:
seconds of the whole command, seconds from the first shard that is begun to the last that is
recorded (`working_s`, which leaves out starting Python, TensorFlow and the workers, and the
survey), examples a second of that time, and the ratio. A busy machine shows in `load`.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from flan_jax.data.prepared import read_manifest

_PERIOD_S = 0.02


def main(arguments: list[str]) -> None:
    """Runs both and prints the figures."""
    with tempfile.TemporaryDirectory() as folder:
        runs = {}
        for workers in (1, 2):
            runs[workers] = _run(pathlib.Path(folder, str(workers)), workers, arguments)
        same = _files(pathlib.Path(folder, "1")) == _files(pathlib.Path(folder, "2"))
    figures = {
        "arguments": arguments,
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
        "same_bytes": same,
        "workers": runs,
        "speed_up": runs[1]["working_s"] / runs[2]["working_s"],
    }
    print(json.dumps(figures, indent=1))


def _run(output: pathlib.Path, workers: int, arguments: list[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "flan_jax.cli", "prepare", *arguments]
    command += [f"--output={output}", f"--workers={workers}"]
    times: dict[str, float] = {}
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(output, times, over))
    watch.start()
    start = time.monotonic()
    subprocess.run(command, check=True)
    seconds = time.monotonic() - start
    over.set()
    watch.join()
    made = read_manifest(output)
    working = times["recorded"] - times["begun"]
    return {
        "seconds": seconds,
        "working_s": working,
        "examples": made.num_examples,
        "shards": sum(len(task.shards) for task in made.tasks),
        "bytes": made.bytes,
        "examples_per_s": made.num_examples / working,
    }


def _watch(output: pathlib.Path, times: dict[str, float], over: threading.Event) -> None:
    """Notes when the first shard is begun and when the last unit is recorded."""
    known = 0
    while not over.wait(_PERIOD_S):
        if "begun" not in times and any(output.glob("tasks/*/*.tmp")):
            times["begun"] = time.monotonic()
        records = len([*output.glob("progress/*[0-9].json")])
        if records > known:
            known, times["recorded"] = records, time.monotonic()


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


if __name__ == "__main__":
    main(sys.argv[1:])
