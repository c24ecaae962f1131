"""One process of a run over prepared data: RANK PROCESSES PORT STEPS PREPARED WORK_DIR."""

import json
import pathlib
import sys

import jax
import same_rows_job as job


def main() -> None:
    rank, processes, port, steps = map(int, sys.argv[1:5])
    prepared, work = map(pathlib.Path, sys.argv[5:])
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        f"127.0.0.1:{port}", num_processes=processes, process_id=rank, initialization_timeout=600
    )
    job.register()
    partitioner = job.Recording()
    job.run(prepared, work / "run", partitioner, steps, period=steps)
    (work / f"given_{rank}.json").write_text(json.dumps(partitioner.given))
    jax.distributed.shutdown()


if __name__ == "__main__":
    main()
