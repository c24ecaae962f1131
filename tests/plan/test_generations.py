"""A small recipe compiled for every TPU generation: memory, kernels and collectives as recorded.

`python tests/plan/test_generations.py` writes tests/golden/plans.json anew.
"""

import collections
import importlib.metadata
import json
import os
import pathlib
import sys

import pytest

if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"

from flan_jax import cli

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "plans.json"
SLICES = {
    "v3": "v3:4x4",
    "v4": "v4:2x2x4",
    "v5e": "v5e:4x4",
    "v5p": "v5p:2x2x4",
    "v6e": "v6e:4x4",
    "v5e_two_slices": "v5e:2x4,slices=2",
}
_SMALL = (
    "--gin_file=models/tiny.gin",
    "--gin_file=runs/finetune.gin",
    "--gin.MIXTURE_OR_TASK_NAME='none'",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 256, 'targets': 128}",
    "--gin.TRAIN_STEPS=100",
    "--gin.BATCH_SIZE=16",
    "--gin.network.T5Config.remat_policy='minimal'",
    "--gin.network.T5Config.dtype='bfloat16'",
    "--gin.partitioning.PjitPartitioner.num_partitions=4",
)


def version() -> str | None:
    try:
        return importlib.metadata.version("libtpu")
    except importlib.metadata.PackageNotFoundError:
        return None


def make(slice_: str, output: pathlib.Path) -> dict:
    """The plan of the training step as JSON, and the figures that are compared."""
    slices = 2 if "slices" in slice_ else 1
    fsdp = 8 if slice_.startswith("v3") else 4 // slices
    code = cli.main(
        [
            "plan",
            f"--topology={slice_}",
            "--programs=train",
            f"--output={output}",
            *_SMALL,
            f"--gin.partitioning.PjitPartitioner.fsdp={fsdp}",
            f"--gin.partitioning.PjitPartitioner.slices={slices}",
        ]
    )
    assert code == 0, "the plan says that it does not fit"
    found = json.loads(output.read_text())
    (program,) = found["programs"]
    counts: dict[str, int] = collections.Counter()
    for each in program["collectives"]:
        network = " between slices" if each["over_dcn"] else ""
        counts[f"{each['kind']} over {'+'.join(each['axes'])}{network}"] += round(each["calls"])
    return {
        "plan": found,
        "compared": {
            "peak_bytes": program["memory_bytes"]["peak"],
            "collectives": dict(sorted(counts.items())),
        },
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", SLICES)
def test_small_recipe(name, tmp_path, capsys):
    if version() is None:
        pytest.skip("libtpu is not installed: pip install -c constraints.txt -e '.[plan]'")
    made = make(SLICES[name], tmp_path / "plan.json")
    assert "fits with" in capsys.readouterr().out
    (program,) = made["plan"]["programs"]
    assert program["unknown_loops"] == []
    # Two in three operations are the model's; the rest is recomputed or padding of small sizes.
    devices = made["plan"]["chips"] * made["plan"]["chip"]["cores"]
    assert program["model_flops"] / devices < program["device_flops"]
    golden = json.loads(GOLDEN.read_text())
    if golden["libtpu"] != version():
        pytest.skip(f"recorded with libtpu {golden['libtpu']}, this is {version()}")
    expected = golden["plans"][name]
    assert made["compared"]["collectives"] == expected["collectives"]
    assert made["compared"]["peak_bytes"] == pytest.approx(expected["peak_bytes"], rel=0.02)


@pytest.mark.slow
def test_too_large_a_model_is_told_so(tmp_path, capsys):
    if version() is None:
        pytest.skip("libtpu is not installed: pip install -c constraints.txt -e '.[plan]'")
    output = tmp_path / "plan.html"
    arguments = ["--gin.BATCH_SIZE=4096", "--gin.network.T5Config.remat_policy='none'"]
    arguments += ["--gin.network.T5Config.attention_kernel='xla'"]
    code = cli.main(
        [
            "plan",
            "--topology=v5e:2x2",
            "--programs=train",
            f"--output={output}",
            *_SMALL,
            *arguments,
            "--gin.TASK_FEATURE_LENGTHS={'inputs': 2048, 'targets': 128}",
        ]
    )
    text = capsys.readouterr().out
    assert code == 1 and "DOES NOT FIT" in text and "try --search" in text
    assert "does not fit" in output.read_text()


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "/tmp")
    plans = {name: make(each, folder / "plan.json")["compared"] for name, each in SLICES.items()}
    GOLDEN.write_text(json.dumps({"libtpu": version(), "plans": plans}, indent=1) + "\n")
