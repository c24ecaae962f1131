"""A small run over prepared data that tells which rows its devices were given, on any mesh."""

import json
import pathlib
from typing import Any

import gin

from flan_jax import batch_origin, checkpoint, schedules, testing, train
from flan_jax.adafactor import Adafactor
from flan_jax.data.config import DatasetConfig
from flan_jax.data.order.settings import Settings  # noqa: F401 - so that gin knows it
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.t5 import Transformer

ROWS = 16
TASKS = {"rows_a": 3.0, "rows_b": 1.0}
MIXTURE = "rows_both"
# Low, so that what is rounded differently grows slowly.
RATE = 0.003
# Dropout's masks, too, must not depend on the mesh. Compiling takes most of the time.
MODEL = {"dropout_rate": 0.1, "num_encoder_layers": 1, "num_decoder_layers": 1}


class Stopped(Exception):
    """What ends a run in its middle."""


class Recording(PjitPartitioner):
    """Notes the rows of each batch that lie on this process's devices.

    Attributes:
      given: of each batch, row number -> hash of what the devices hold.
    """

    def __init__(self, **mesh: Any):
        super().__init__(**mesh)
        self.given: list[dict[int, str]] = []
        self.stop_after: int | None = None

    def put_batch(self, host_batch):
        if self.stop_after == len(self.given):
            raise Stopped
        batch = super().put_batch(host_batch)
        rows = batch_origin.rows_here(batch)
        self.given.append({row: batch_origin.row_hash(each) for row, each in rows.items()})
        return batch


def register() -> None:
    """Registers the tasks, alike in every process."""
    for seed, (name, size) in enumerate({"rows_a": 90, "rows_b": 11}.items()):
        testing.register_toy_task(name, size, seed=seed)
    testing.register_toy_mixture(MIXTURE, TASKS)


def unregister() -> None:
    for name in (MIXTURE, *TASKS):
        testing.unregister(name)


def config(prepared: pathlib.Path | None, **changes: Any) -> DatasetConfig:
    fields = {
        "mixture_or_task_name": MIXTURE,
        "task_feature_lengths": {"inputs": 24, "targets": 16},
        "split": "train",
        "batch_size": ROWS,
        "shuffle": True,
        "seed": 5,
        "pack": True,
        "prepared_dir": None if prepared is None else str(prepared),
    }
    return DatasetConfig(**{**fields, **changes})


def run(
    prepared: pathlib.Path,
    folder: pathlib.Path,
    partitioner: PjitPartitioner,
    steps: int,
    period: int,
) -> None:
    """Trains to a step, from the newest checkpoint on if there is one, saving every `period`."""
    # So that the steps are of many windows.
    gin.bind_parameter("order.Settings.window", 512)
    train.train(
        model=EncoderDecoderModel(
            Transformer(testing.tiny_t5_config(**MODEL)), optimizer_def=Adafactor()
        ),
        model_dir=str(folder),
        train_dataset_cfg=config(prepared),
        checkpoint_cfg=checkpoint.CheckpointConfig(checkpoint.SaveCheckpointConfig(period=period)),
        partitioner=partitioner,
        trainer=train.Trainer(
            schedules.create_learning_rate_scheduler("constant", base_learning_rate=RATE)
        ),
        total_steps=steps,
        stats_period=1,
        tensorboard=False,
    )


def losses(folder: pathlib.Path) -> list[tuple[int, float]]:
    """(step, loss) of every step done, those done again included."""
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [(each["step"], each["step_loss"]) for each in records if each["kind"] == "train"]
