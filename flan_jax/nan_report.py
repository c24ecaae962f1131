"""Why a step is not finite: the steps up to it are done again, and the step itself is looked into.

A run keeps no copy of the state before a step, which would double its memory. Steps are functions
of the checkpoint and the rows, so going back to the newest checkpoint and doing the steps again
gives the very state that the bad step met.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from flan_jax import batch_origin, nonfinite, starting
from flan_jax import step as step_lib
from flan_jax import trainable as trainable_lib
from flan_jax.mesh import PjitPartitioner
from flan_jax.skipping import Skips

_MOST_NAMES = 4


@dataclasses.dataclass(frozen=True)
class Replay:
    """What is needed to do a run's steps again.

    Attributes:
      plan: the arrays of the run.
      partitioner: the mesh.
      begin: makes or reads the state that the run started or would resume from.
      stream: opens the training stream at its beginning.
      task_names: of the stream.
      num_microbatches: parts of a batch.
      seed: of dropout.
      skips: the steps left out.
      most: steps to do again at most; with more in between only the batch is told of.
      say: receives sentences.
    """

    plan: starting.Plan
    partitioner: PjitPartitioner
    begin: Callable[[], starting.Start]
    stream: Callable[[], Any]
    task_names: Sequence[str]
    num_microbatches: int
    seed: int
    skips: Skips
    most: int
    say: Callable[[str], None]

    def explain(self, bad: int, batch: Any, kept: int | None, train_step: Any) -> str:
        """Returns sentences on where step `bad` goes wrong, the rows of its batch, and what helps.

        Args:
          bad: the number of the step; the first is 1.
          batch: what it was given, on the devices.
          kept: the step of the newest checkpoint, None for none.
          train_step: the compiled step.
        """
        help_text = (
            " Lower the learning rate, set global_norm_clip_threshold, or leave the batch out: "
            f"train_script.train.skip_steps = [({bad}, {bad})]."
        )
        return self._explain(bad, batch, kept, train_step) + help_text

    def _explain(self, bad: int, batch: Any, kept: int | None, train_step: Any) -> str:
        steps = bad - 1 - (kept or 0)
        if steps > self.most:
            return (
                f"{self._rows(batch)}The {steps} steps since the checkpoint are more than "
                f"runtime.Runtime.nan_replay_steps = {self.most}, so the layer was not looked for."
            )
        try:
            self.say(f"doing {steps} steps again to see what happens in step {bad} ...")
            state, frozen = self._state_before(bad, train_step)
            findings = self._look(state, frozen, batch)
            rows = self._bad_rows(state, frozen, batch)
        except Exception as error:  # noqa: BLE001 - the step's own failure is what counts
            reason = f"{type(error).__name__}: {str(error)[:200]}"
            return f"{self._rows(batch)}The layer could not be looked for ({reason})."
        return self._rows(batch, rows) + _describe(findings)

    def _state_before(self, bad: int, train_step: Any) -> tuple[Any, Any]:
        start = self.begin()
        state, frozen = start.state, start.frozen
        stream = self.stream()
        if start.data_state is not None:
            stream.restore(start.data_state)
        for step in range(start.step + 1, bad):
            batch = self.partitioner.put_batch(next(stream))
            if self.skips.holds(step):
                state = pass_over(state)
            else:
                state, _ = train_step(state, batch, frozen)
        return state, frozen

    def _look(self, state: Any, frozen: Any, batch: Any) -> nonfinite.Findings:
        plan = self.plan

        def step(state: Any, batch: Any, frozen: Any) -> dict[str, Any]:
            after, metrics = step_lib.train_step(
                state,
                batch,
                jax.random.key(self.seed),
                model=plan.model,
                tx=plan.tx,
                num_microbatches=self.num_microbatches,
                num_tasks=len(self.task_names),
                grad_shardings=plan.shardings.params,
                frozen=frozen,
            )
            return {
                "loss": metrics.loss,
                "gradient norm": metrics.grad_norm,
                "update norm": metrics.update_norm,
                "after": after.params,
            }

        with self.partitioner.activate():
            return nonfinite.find(step, state, batch, frozen, names=("state", "batch", "frozen"))

    def _bad_rows(self, state: Any, frozen: Any, batch: Any) -> list[int] | None:
        """The rows of this process whose own likelihood is not finite; None where all are."""
        model = self.plan.model
        with self.partitioner.activate():
            scores_B, *_ = jax.jit(model.score_batch)(
                trainable_lib.merge(state.params, frozen), batch
            )
        rows = batch_origin.rows_here({"score": scores_B[:, None]})
        bad = [number for number, row in rows.items() if not np.isfinite(row["score"]).all()]
        return bad or None

    def _rows(self, batch: Any, only: Sequence[int] | None = None) -> str:
        told = batch_origin.describe(batch, self.task_names, only)
        what = "Rows of its batch" if only is None else "Rows whose own loss is not finite"
        return f"{what}: {batch_origin.format_rows(told)}. "


def pass_over(state: Any) -> Any:
    """Returns the state after a skipped step: its number goes on, nothing else does."""
    step = jax.device_put(np.asarray(state.step) + np.int32(1), state.step.sharding)
    return dataclasses.replace(state, step=step)


def _describe(findings: nonfinite.Findings) -> str:
    if findings.first is None:
        return "Done again operation by operation, the step is finite."
    results: Mapping[str, None] = dict.fromkeys(findings.results)
    parameters = [name.removeprefix("after/") for name in results if name.startswith("after/")]
    text = f"First not finite: {findings.first}."
    if parameters:
        more = len(parameters) - _MOST_NAMES
        text += f" It reaches the update of {', '.join(parameters[:_MOST_NAMES])}"
        text += f" and {more} more." if more > 0 else "."
    return text
