"""The same rows at the same steps, and the same losses, on any number of devices and processes."""

import contextlib
import json
import os
import pathlib

import pytest
import same_rows_job as job
import worker_processes

pytest.importorskip("array_record")

from flan_jax.data.prepared.command import prepare

HERE = pathlib.Path(__file__).parent
_PERIOD = 10
# Processes add gradients up in another order, and what that rounds differently grows in time.
_COMPARED = 100
_LIMIT_S = 900  # On a busy machine.


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    job.register()
    found = tmp_path_factory.mktemp("rows") / "data"
    prepare(job.config(None), str(found), runner="none")
    yield found
    job.unregister()


def undisturbed(prepared, folder, steps, eight):
    """Rows of each step, and losses by step, of a run on eight devices."""
    job.run(prepared, folder, eight, steps, period=steps)
    rows, losses = eight.given[:steps], dict(job.losses(folder))
    eight.given = []
    assert list(losses) == [*range(1, steps + 1)]
    assert all(list(each) == [*range(job.ROWS)] for each in rows)
    # Rows and losses that others could be confused with would prove nothing.
    assert len({hash_ for each in rows for hash_ in each.values()}) > len(rows)
    assert max(losses.values()) - min(losses.values()) > 0.2
    return rows, losses


@pytest.mark.exhaustive
def test_eight_devices_then_four_then_eight(prepared, tmp_path):
    eight, four = job.Recording(), job.Recording(devices=4)
    rows, losses = undisturbed(prepared, tmp_path / "whole", 40, eight)
    folder = tmp_path / "moved"
    # An error ends each attempt but the last, some steps behind its last checkpoint.
    for partitioner, first, batches in ((eight, 0, 17), (four, 10, 14), (eight, 20, 20)):
        is_last = first + batches == 40
        partitioner.given, partitioner.stop_after = [], None if is_last else batches
        with contextlib.nullcontext() if is_last else pytest.raises(job.Stopped):
            job.run(prepared, folder, partitioner, 40, _PERIOD)
        assert partitioner.given[:batches] == rows[first : first + batches]
    found = job.losses(folder)
    # Some steps were done twice, on eight devices and on four.
    assert len(found) > 40 + 4 and {step for step, _ in found} == {*range(1, 41)}
    for step, loss in found:
        assert loss == pytest.approx(losses[step], rel=0, abs=1e-5)


@pytest.mark.multi_host
@pytest.mark.exhaustive
@pytest.mark.parametrize("processes", [2, 4, 8])
def test_processes_are_given_the_rows_of_one(prepared, tmp_path, processes):
    steps = 501
    rows, losses = undisturbed(prepared, tmp_path / "whole", steps, job.Recording())
    given = _given(prepared, tmp_path, processes, steps)
    for step, expected in enumerate(rows):
        parts = [each[step] for each in given]
        assert [len(part) for part in parts] == [job.ROWS // processes] * processes
        together = {int(row): hash_ for part in parts for row, hash_ in part.items()}
        assert dict(sorted(together.items())) == expected, f"step {step}"
    found = dict(job.losses(tmp_path / "run"))
    assert list(found) == list(losses)
    for step in range(1, _COMPARED + 1):
        assert found[step] == pytest.approx(losses[step], rel=0, abs=1e-5)


def _given(prepared, work, processes, steps):
    """What each of so many processes says of its rows, after a run on eight devices in all."""
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", f"device_count={8 // processes}")
    worker_processes.run(
        "same_rows_worker.py",
        processes,
        [processes, worker_processes.free_port(), steps, prepared, work],
        logs=work,
        environment=os.environ | {"PYTHONPATH": str(HERE.parents[1]), "XLA_FLAGS": flags},
        limit_s=_LIMIT_S,
    )
    return [json.loads((work / f"given_{rank}.json").read_text()) for rank in range(processes)]
