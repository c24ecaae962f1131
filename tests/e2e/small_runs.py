"""Runs of tiny models on one device, and what their tests ask of them."""

import json

import jax
import numpy as np

from flan_jax import checkpoint, infer, schedules, starting, train
from flan_jax.mesh import PjitPartitioner

# One object, so that what is compiled for it serves all tests of a module.
ONE = PjitPartitioner(devices=1)


def run_training(model, folder, train_cfg, steps, rate, period, base=None, **options):
    """Trains at a constant rate, saving every `period` steps; `base` is the initial checkpoint."""
    return train.train(
        model=model,
        model_dir=str(folder),
        train_dataset_cfg=train_cfg,
        checkpoint_cfg=checkpoint.CheckpointConfig(
            checkpoint.SaveCheckpointConfig(period=period),
            checkpoint.RestoreCheckpointConfig(base),
        ),
        partitioner=ONE,
        trainer=train.Trainer(
            schedules.create_learning_rate_scheduler("constant", base_learning_rate=rate)
        ),
        total_steps=steps,
        stats_period=50,
        tensorboard=False,
        **options,
    )


def assert_same_end(model, folders, trainable=None):
    """Asserts that the newest states of two MODEL_DIRs agree to the last bit."""
    selection = starting.trainable.select(model.abstract_params(), trainable)
    plan = starting.make_plan(model, selection, lambda step: 0.0, ONE)
    states = []
    for folder in folders:
        with checkpoint.Checkpointer(folder) as saver:
            states.append(saver.restore(plan.abstract, plan.shardings).state)
    for straight, resumed in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_array_equal(straight, resumed)


def answers(model, data, cfg, prompts, folder, *decode_config):
    """What `infer` answers to the prompts, in order; its files go into `folder`."""
    asked, answered = folder / "in.txt", folder / "out.jsonl"
    asked.write_text("\n".join(prompts))
    infer.infer(model, data, cfg, ONE, *decode_config, prompts=str(asked), output=str(answered))
    return [json.loads(line)["prediction"] for line in answered.read_text().splitlines()]
