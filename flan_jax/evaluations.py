"""The evaluations of a training run: losses and scores on what its configuration names."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

from flan_jax import checkpoint_files, compiling, starting, telemetry, warm_start
from flan_jax.axes import PyTree
from flan_jax.data.config import DatasetConfig
from flan_jax.decode.config import DecodeConfig
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.base import BaseModel


@dataclasses.dataclass
class Evaluations:
    """What is evaluated, how, and where it is written.

    Attributes:
      model: the model.
      partitioner: the mesh.
      model_dir: MODEL_DIR; predictions go to its `infer_eval`.
      train_eval: for the teacher-forced loss; None leaves it out.
      infer_eval: for decoding and each task's metrics, likewise.
      decode_config: how predictions are decoded.
      eval_steps: batches per task of the loss; None takes the whole split.
      num_examples: rows per task decoded; None takes the whole split.
      say: receives sentences.
    """

    model: BaseModel
    partitioner: PjitPartitioner
    model_dir: str
    train_eval: DatasetConfig | None
    infer_eval: DatasetConfig | None
    decode_config: DecodeConfig
    eval_steps: int | None
    num_examples: int | None
    say: Callable[[str], None]
    _ahead: compiling.Ahead[None] | None = dataclasses.field(default=None, init=False)

    def __post_init__(self):
        from flan_jax.data import mixture  # Imports seqio.

        # Once: resolving registers the tasks anew, and their rows would be made anew as well.
        self._train_eval_mixture, self._infer_eval_mixture = (
            None if cfg is None else mixture.resolve(cfg)
            for cfg in (self.train_eval, self.infer_eval)
        )

    def compile_in_background(self, plan: starting.Plan, wanted: bool | None) -> None:
        """Begins to compile their programs, if wanted; see `warm_start.compile_in_background`."""
        self._ahead = warm_start.compile_in_background(self.programs(plan), wanted)

    def are_recorded(self, step: int) -> bool:
        """Whether `metrics.jsonl` has all figures of a step; all processes get the first's answer.

        A run may have been stopped after it saved the step and before it had evaluated it.
        """
        mixtures = {"train_eval": self._train_eval_mixture, "infer_eval": self._infer_eval_mixture}
        wanted = {
            (kind, share.name)
            for kind, mixture in mixtures.items()
            if mixture is not None
            for share in mixture.shares
        }

        def decide() -> bool:
            records = telemetry.read_metrics(self.model_dir)
            return wanted <= {(r["kind"], r.get("task")) for r in records if r["step"] == step}

        return checkpoint_files.agree(decide)

    def run(
        self,
        params: PyTree,
        step: int,
        record: Callable[[str, int, Mapping[str, Any]], None],
    ) -> dict[str, dict[str, Any]]:
        """Returns task -> metrics; errors as from `eval.runner`.

        Args:
          params: all parameters.
          step: that they are of.
          record: (kind, step, values) -> None, writes the metrics of a task.
        """
        from flan_jax.eval import runner  # Imports seqio.

        if self._ahead is not None:
            self._ahead.wait()  # What failed there fails below as well, and is reported.
        found: dict[str, dict[str, Any]] = {}
        if self.train_eval is not None:
            losses = runner.train_eval(
                self.model,
                params,
                self.partitioner,
                self.train_eval,
                max_batches=self.eval_steps,
                mixture=self._train_eval_mixture,
            )
            for task, values in losses.items():
                record("train_eval", step, {"task": task, **values})
                found.setdefault(task, {}).update(values)
        if self.infer_eval is not None:
            metrics = runner.evaluate_tasks(
                self.model,
                params,
                self.partitioner,
                self.infer_eval,
                self.decode_config,
                output_dir=os.path.join(self.model_dir, "infer_eval"),
                step=step,
                num_examples=self.num_examples,
                mixture=self._infer_eval_mixture,
                say=self.say,
            )
            for task, values in metrics.items():
                record("infer_eval", step, {"task": task, **values})
                found.setdefault(task, {}).update(values)
        self.say(runner.format_table(found, title=f"evaluation at step {step}"))
        return found

    def programs(self, plan: starting.Plan) -> warm_start.Programs:
        """Yields what they compile."""
        return warm_start.evaluation_programs(
            plan,
            self.partitioner,
            self.train_eval,
            self.infer_eval,
            self._infer_eval_mixture,
            self.decode_config,
        )
