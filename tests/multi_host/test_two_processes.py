import json
import os
import pathlib

import jax
import multi_host_job as job
import numpy as np
import pytest
import worker_processes

from flan_jax.checkpoint import Checkpointer, SaveCheckpointConfig
from flan_jax.mesh import PjitPartitioner

HERE = pathlib.Path(__file__).parent
ENV = os.environ | {
    "PYTHONPATH": str(HERE.parents[1]),
    "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
}


@pytest.mark.multi_host
def test_two_processes_agree_with_one(tmp_path):
    one = PjitPartitioner(devices=1)
    state = jax.device_put(job.initial(), job.shardings(one))
    with Checkpointer(tmp_path / "one", SaveCheckpointConfig(period=1)) as saver:
        saver.save(0, state, b"", {}, force=True)

    worker_processes.run(
        "multi_host_worker.py",
        2,
        [worker_processes.free_port(), tmp_path],
        logs=tmp_path,
        environment=ENV,
        limit_s=90,
    )
    results = [json.loads((tmp_path / f"result_{rank}.json").read_text()) for rank in range(2)]
    first = results[0]
    # Everything a process reports is global: the two say the same, to the bit.
    assert first == results[1]
    assert (first["devices"], first["local"], first["local_rows"]) == (4, 2, 4)
    assert first["data_state"] == "rows"
    assert "no checkpoint of step 99; it has 3" in first["error"]
    assert "leaves some of the 2 processes without a device" in first["topology_error"]

    batch = one.put_batch(job.host_batch())
    losses, state = job.train(one, state, batch)
    np.testing.assert_allclose(first["losses"], losses, rtol=1e-6)
    np.testing.assert_allclose(first["restored_losses"], job.train(one, state, batch)[0], rtol=1e-6)

    # What two processes wrote, one process reads to the bit.
    with Checkpointer(tmp_path / "two") as saver:
        restored = saver.restore(job.abstract(), job.shardings(one)).state
    assert int(restored.step) == 3
    for name, value in job.local(restored.params).items():
        assert value.tobytes().hex() == first["params"][name]
