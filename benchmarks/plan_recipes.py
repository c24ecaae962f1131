"""Plans every published recipe on a slice where it fits, and prints docs/pods.md's table.

    python -m benchmarks.plan_recipes --output plans.json [--only NAME,NAME] [--programs train]

Each recipe is one process of `flan-jax plan`, so that what one takes of memory is given back. The
paper's times, where there are any, stand beside the predicted ones; no TPU is used.
"""

import argparse
import dataclasses
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Case:
    """One recipe on one slice.

    Attributes:
      name: as in the paper.
      files: gin files without the topology's.
      slice: booking name, also of the topology file.
      topology: as `flan-jax plan --topology` takes it.
      paper: chips and time that the paper gives, or '' where it gives none.
      bindings: further gin bindings.
    """

    name: str
    files: tuple[str, ...]
    slice: str
    topology: str
    paper: str = ""
    bindings: tuple[str, ...] = ()


def _flan_t5(size: str, slice_: str, topology: str) -> Case:
    return Case(f"Flan-T5 {size}", (f"runs/flan_t5_{size.lower()}.gin",), slice_, topology)


def _mesh(fsdp: int, model: int) -> tuple[str, ...]:
    """Another mesh than the slice's file has: where a step has fewer rows than it has groups."""
    name = "partitioning.PjitPartitioner"
    return (f"{name}.fsdp = {fsdp}", f"{name}.num_partitions = {model}")


_MT5_XXL = (
    "MIXTURE_OR_TASK_NAME = 'super_ni'",
    "TASK_FEATURE_LENGTHS = {'inputs': 1024, 'targets': 128}",
    "TRAIN_STEPS = 1000",
    "BATCH_SIZE = 64",
)

CASES = (
    _flan_t5("small", "v4-8", "v4:2x2x1"),
    _flan_t5("base", "v4-8", "v4:2x2x1"),
    _flan_t5("large", "v4-32", "v4:2x2x4"),
    _flan_t5("XL", "v4-64", "v4:2x4x4"),
    _flan_t5("XXL", "v4-128", "v4:4x4x4"),
    Case("T0 11B", ("runs/t0_11b.gin",), "v4-256", "v4:4x4x8", "v3-512; 270 h over all runs"),
    Case(
        "Tk-Instruct 11B",
        ("runs/tk_instruct_11b.gin",),
        "v4-256",
        "v4:4x4x8",
        bindings=("INITIAL_CHECKPOINT_PATH = 'planned'",),
    ),
    Case(
        "mT5-XXL",
        ("models/mt5_xxl.gin", "runs/finetune.gin"),
        "v4-128",
        "v4:4x4x4",
        bindings=_MT5_XXL,
    ),
    Case("Flan-PaLM 8B", ("runs/flan_palm_8b.gin",), "v4-64", "v4:2x4x4"),
    Case("Flan-PaLM 62B", ("runs/flan_palm_62b.gin",), "v4-256", "v4:4x4x8"),
    Case(
        "Flan-PaLM 540B",
        ("runs/flan_palm_540b.gin",),
        "v4-1024",
        "v4:8x8x8",
        "512 chips of v4, 37 h",
    ),
    Case(
        "FLAN LaMDA-PT 137B",
        ("runs/flan2021_lamda_137b.gin",),
        "v3-128",
        "v3:8x8",
        "128 cores of v3, 60 h",
        ("FLAN2021_SPLIT = 'inter_cluster_entailment'", *_mesh(fsdp=8, model=16)),
    ),
    Case(
        "InstructGPT 175B (SFT)",
        ("runs/sft_instructgpt_175b.gin",),
        "v4-512",
        "v4:4x8x8",
        bindings=("INITIAL_CHECKPOINT_PATH = 'planned'", *_mesh(fsdp=8, model=32)),
    ),
)


def plan(case: Case, programs: str) -> dict[str, Any]:
    """Runs one plan; on failure the result has 'error'."""
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder, "plan.json")
        command = [sys.executable, "-m", "flan_jax.cli", "plan", f"--topology={case.topology}"]
        command += [f"--gin_file={name}" for name in (*case.files, f"topologies/{case.slice}.gin")]
        command += [f"--gin_bindings={binding}" for binding in case.bindings]
        command += [f"--programs={programs}", f"--output={output}"]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = {"case": case.name, "slice": case.slice, "paper": case.paper}
        found["wall_s"] = round(time.perf_counter() - started, 1)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Of the largest process so far: Linux does not tell one child from another.
        found["largest_process_gib"] = round(usage.ru_maxrss / 2**20, 2)
        if output.exists():
            return found | {"plan": json.loads(output.read_text())}
        return found | {"error": (done.stderr or done.stdout).strip()[-600:]}


def table(results: Sequence[dict[str, Any]]) -> str:
    """The results as Markdown."""
    lines = [
        "| recipe | slice | mesh | peak GiB | of | s a step | MFU at most | whole recipe "
        "| the paper |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for found in results:
        if "plan" not in found:
            why = " ".join(found["error"].split())[-200:]
            lines.append(f"| {found['case']} | {found['slice']} | failed: {why} |")
            continue
        made = found["plan"]
        train = next(each for each in made["programs"] if each["name"] == "train")
        memory = train["memory_bytes"]
        mesh = " x ".join(f"{axis} {size}" for axis, size in made["mesh"].items() if size > 1)
        if memory["peak"] is None:
            lines.append(f"| {found['case']} | {found['slice']} | {mesh} | does not fit |")
            continue
        seconds = train["seconds"]
        low, high = made["predicted_hours_overlapped"], made["predicted_hours_serial"]
        lines.append(
            f"| {found['case']} | {made['booked_as']} ({made['chips']} chips) | {mesh} "
            f"| {memory['peak'] / 2**30:.1f} | {memory['usable'] / 2**30:.1f} "
            f"| {seconds['overlapped']:.2f} to {seconds['serial']:.2f} "
            f"| {train['mfu_bound']:.0%} | {low:.1f} to {high:.1f} h | {found['paper'] or '—'} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Plans the cases and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, help="JSON file, kept up to date")
    parser.add_argument("--only", default="", help="names of cases, separated by commas")
    parser.add_argument("--programs", default="train", help="as of flan-jax plan")
    args = parser.parse_args()
    wanted = [name for name in args.only.split(",") if name]
    results = []
    for case in CASES:
        if wanted and case.name not in wanted:
            continue
        print(f"planning {case.name} on {case.slice} ...", file=sys.stderr, flush=True)
        results.append(plan(case, args.programs))
        if args.output:
            args.output.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
