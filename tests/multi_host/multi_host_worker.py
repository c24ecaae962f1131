"""One process of the multi-host test: RANK PORT WORK_DIR; the device count is in XLA_FLAGS."""

import json
import pathlib
import sys

import jax
import multi_host_job as job

from flan_jax.checkpoint import Checkpointer, SaveCheckpointConfig, restore_params
from flan_jax.errors import CheckpointError, TopologyError
from flan_jax.mesh import PjitPartitioner

PROCESSES = 2


def main() -> None:
    rank, port, work = int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=PROCESSES, process_id=rank)
    result: dict = {"devices": jax.device_count(), "local": jax.local_device_count()}

    partitioner = PjitPartitioner(num_partitions=2)
    batch = partitioner.put_batch(job.host_batch())
    result["local_rows"] = sum(
        shard.data.shape[0] for shard in batch["tokens"].addressable_shards[::2]
    )
    # Begun by a single process on one device, continued here on four.
    with Checkpointer(work / "one", SaveCheckpointConfig(period=1), say=lambda _: None) as saver:
        state = saver.restore(job.abstract(), job.shardings(partitioner)).state
    result["losses"], state = job.train(partitioner, state, batch)

    with Checkpointer(work / "two", SaveCheckpointConfig(period=1)) as saver:
        saver.save(int(state.step), state, b"rows", {"rank": "any"})
        other = PjitPartitioner(fsdp=4)
        restored = saver.restore(job.abstract(), job.shardings(other))
        result["data_state"] = restored.data_state.decode()
        result["restored_losses"], _ = job.train(
            other, restored.state, other.put_batch(job.host_batch())
        )
        # A decision of the first process is everybody's, errors included.
        try:
            saver.restore(job.abstract(), job.shardings(other), step=99)
        except CheckpointError as error:
            result["error"] = str(error)
    try:
        PjitPartitioner(devices=2)
    except TopologyError as error:
        result["topology_error"] = str(error)
    params = restore_params(work / "two", job.abstract().params, other.replicated)
    result["params"] = {name: value.tobytes().hex() for name, value in job.local(params).items()}
    (work / f"result_{rank}.json").write_text(json.dumps(result))
    jax.distributed.shutdown()


if __name__ == "__main__":
    main()
