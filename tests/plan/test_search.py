"""Which settings a search compiles, in which order, and what it calls best."""

import dataclasses
import importlib.metadata
import json
import types

import pytest

from flan_jax import cli
from flan_jax.plan import search

GIB = 2**30


def report(seconds: float, peak_gib: float, of_gib: float = 16.0):
    program = types.SimpleNamespace(
        memory=types.SimpleNamespace(peak=peak_gib * GIB),
        roofline=types.SimpleNamespace(overlapped_s=seconds * 0.5, serial_s=seconds * 1.5),
    )
    return types.SimpleNamespace(program=lambda name: program, fits=peak_gib <= of_gib)


def mesh(model: int, **changes) -> search.Candidate:
    made = search.Candidate(model, 64 // model, 1, "lean", 1, scan_layers=True)
    return dataclasses.replace(made, **changes)


def explore(meshes, outcomes, limit=20):
    """Explores with a table of (model, policy, microbatches, scan) -> (seconds, GiB)."""
    order = []

    def compiled(candidate):
        assert candidate.report is None
        key = (
            candidate.model,
            candidate.remat_policy,
            candidate.num_microbatches,
            candidate.scan_layers,
        )
        order.append(key)
        seconds, gib = outcomes.get(key, (9.0, 1.0))
        return dataclasses.replace(candidate, report=report(seconds, gib))

    said = []
    ranked = search.explore(meshes, compiled, limit, said.append)
    return ranked, order, said


def test_each_setting_is_tried_on_the_best_before_it():
    outcomes = {
        (4, "lean", 1, True): (0.30, 4.0),
        (8, "lean", 1, True): (0.28, 5.0),
        (8, "minimal", 1, True): (0.26, 7.0),
        (8, "minimal", 2, True): (0.27, 6.0),
        (8, "minimal", 1, False): (0.25, 8.0),
    }
    ranked, order, said = explore([mesh(4), mesh(8)], outcomes)
    assert order == [
        (4, "lean", 1, True),
        (8, "lean", 1, True),
        (8, "none", 1, True),
        (8, "minimal", 1, True),
        (8, "full", 1, True),
        (8, "minimal", 2, True),
        (8, "minimal", 1, False),
    ]
    assert not ranked[0].scan_layers and ranked[0].expected_s == pytest.approx(0.25)
    assert [each.expected_s for each in ranked] == sorted(each.expected_s for each in ranked)
    assert "peak 8.00 GiB, 0.2500 s a step" in said


def test_what_does_not_fit_leads_to_what_is_smaller():
    outcomes = {
        (4, "lean", 1, True): (0.3, 30.0),
        (8, "lean", 1, True): (0.4, 20.0),
        (8, "none", 1, True): (0.3, 90.0),
        (8, "minimal", 1, True): (0.35, 40.0),
        (8, "full", 1, True): (0.5, 18.0),
        (8, "full", 2, True): (0.6, 10.0),
        (8, "full", 2, False): (0.5, 17.0),
    }
    ranked, order, said = explore([mesh(4), mesh(8)], outcomes)
    assert order[-2:] == [(8, "full", 2, True), (8, "full", 2, False)]
    assert ranked[0].num_microbatches == 2 and ranked[0].fits
    assert [each.fits for each in ranked[1:]] == [False] * 6
    assert ranked[1].peak_bytes == 17 * GIB
    assert said.count("does not fit") == 6


def test_no_more_than_the_limit():
    ranked, order, said = explore([mesh(model) for model in (1, 2, 4, 8)], {}, limit=3)
    assert len(ranked) == len(order) == 3
    assert said[-1] == "stopped at --search_limit=3"


def test_a_refused_mesh_is_kept_with_its_reason():
    def compiled(candidate):
        if candidate.model == 4:
            return dataclasses.replace(candidate, refusal="64 rows do not split")
        return dataclasses.replace(candidate, report=report(0.2, 1.0))

    ranked = search.explore([mesh(4), mesh(8)], compiled, 2, lambda line: None)
    assert [each.model for each in ranked] == [8, 4]
    assert ranked[1].as_dict()["refusal"] == "64 rows do not split"


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_command(tmp_path, capsys):
    try:
        importlib.metadata.version("libtpu")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("libtpu is not installed: pip install -c constraints.txt -e '.[plan]'")
    output = tmp_path / "found.json"
    code = cli.main(
        [
            *("plan", "--search", "--search_limit=2", "--topology=v5e:2x2", f"--output={output}"),
            *("--gin_file=models/tiny.gin", "--gin_file=runs/finetune.gin"),
            *("--gin.MIXTURE_OR_TASK_NAME='none'", "--gin.TRAIN_STEPS=100", "--gin.BATCH_SIZE=16"),
            "--gin.TASK_FEATURE_LENGTHS={'inputs': 128, 'targets': 64}",
        ]
    )
    printed = capsys.readouterr()
    assert code == 0 and "To use the first:" in printed.out
    assert "2 of at most 2" in printed.err
    found = json.loads(output.read_text())["search"]
    assert len(found) == 2 and all(each["fits"] for each in found)
    assert found[0]["expected_s"] <= found[1]["expected_s"]
    # The same parameters, cut differently.
    assert len({each["plan"]["parameters"] for each in found}) == 1
    assert len({(each["model"], each["fsdp"], each["data"]) for each in found}) == 2


def test_a_limit_that_tries_nothing_is_refused(capsys):
    files = ("--gin_file=models/tiny.gin", "--gin_file=runs/finetune.gin")
    given = ("--gin.MIXTURE_OR_TASK_NAME='none'", "--gin.TRAIN_STEPS=1", "--gin.BATCH_SIZE=4")
    lengths = "--gin.TASK_FEATURE_LENGTHS={'inputs': 8, 'targets': 8}"
    flags = ("plan", "--topology=v5e:2x2", "--search", "--search_limit=0")
    assert cli.main([*flags, *files, *given, lengths]) == 2
    assert "--search_limit is 0: give at least 1." in capsys.readouterr().err
