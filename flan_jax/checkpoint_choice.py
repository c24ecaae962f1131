"""Which checkpoint of a run is best, by a stated rule instead of by age.

A run that keeps one checkpoint an epoch (`utils.SaveCheckpointConfig.keep_period`) can be chosen
from afterwards: by a metric that its evaluations wrote, or by a scorer of the user's. InstructGPT's
supervised models were chosen by a reward model's score on the validation split (Ouyang et al. 2022,
arXiv 2203.02155, appendix C.1); that scorer is a function from a checkpoint to a number.
"""

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from etils import epath

from flan_jax import telemetry
from flan_jax.checkpoint_files import find_checkpoint, list_steps
from flan_jax.errors import CheckpointError, ConfigError, NotFoundError, suggest

Scorer = Callable[[str], float]

_EVALUATIONS = ("train_eval", "infer_eval")


@dataclasses.dataclass(frozen=True)
class Choice:
    """The best checkpoint of a run.

    Attributes:
      path: its directory.
      step: its step.
      scores: step -> score, of every checkpoint that has one.
      rule: what was asked for, in words.
    """

    path: str
    step: int
    scores: Mapping[int, float]
    rule: str

    def text(self) -> str:
        """Returns the scores as lines, and the choice."""
        lines = [f"{self.rule}:"]
        for step, score in self.scores.items():
            lines.append(f"  step {step}: {score:.6g}{' *' if step == self.step else ''}")
        return "\n".join([*lines, self.path])


def choose_checkpoint(
    model_dir: str,
    metric: str = "loss",
    *,
    highest: bool = False,
    scorer: Scorer | str | None = None,
) -> Choice:
    """Returns the checkpoint with the best score; of equals the earliest.

    Args:
      model_dir: MODEL_DIR of the run.
      metric: name of a metric in metrics.jsonl, 'loss' being that on the validation split; the mean
        over the tasks that have it.
      highest: whether more is better. A scorer's highest is always best.
      scorer: a function from the directory of a checkpoint to a number, used instead of a metric,
        or where it is: 'module:function'.

    Raises:
      NotFoundError: there is no such metric or function.
      CheckpointError: there is no checkpoint, none has a score, or the best is damaged.
    """
    steps = list_steps(model_dir) if epath.Path(model_dir).is_dir() else []
    if not steps:
        raise CheckpointError(f"{model_dir} holds no checkpoint_<step> to choose from.")
    if scorer is not None:
        score = _find_scorer(scorer) if isinstance(scorer, str) else scorer
        rule = f"highest {scorer if isinstance(scorer, str) else score.__name__}"
        scores = {step: float(score(str(find_checkpoint(model_dir, step)))) for step in steps}
        highest = True
    else:
        rule = f"{'highest' if highest else 'lowest'} {metric}"
        scores = _metric_by_step(model_dir, metric, steps)
    best = min(scores, key=lambda step: (-scores[step] if highest else scores[step], step))
    return Choice(str(find_checkpoint(model_dir, best)), best, scores, rule)


def _metric_by_step(model_dir: str, metric: str, steps: Sequence[int]) -> dict[int, float]:
    records = [
        record
        for record in telemetry.read_metrics(model_dir)
        if record["kind"] in _EVALUATIONS and isinstance(record.get("task"), str)
    ]
    values: dict[int, list[float]] = {}
    for record in records:
        value = record.get(metric)
        if isinstance(value, int | float) and not isinstance(value, bool):
            values.setdefault(record["step"], []).append(float(value))
    if not values:
        known = sorted({name for record in records for name in record} - {"kind", "step", "task"})
        raise NotFoundError(
            f"No evaluation in {model_dir}/metrics.jsonl has the metric {metric!r}; there are "
            f"{known or 'none'}.{suggest(metric, known)}"
        )
    found = {step: sum(values[step]) / len(values[step]) for step in steps if step in values}
    if not found:
        raise CheckpointError(
            f"{model_dir} has checkpoints of the steps {steps[:8]} and {metric!r} of the steps "
            f"{sorted(values)[:8]}. Save at the steps of evaluation: "
            "utils.SaveCheckpointConfig.period and keep_period = EVAL_PERIOD."
        )
    return found


def _find_scorer(name: str) -> Scorer:
    module, _, function = name.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), function, None)
    except ModuleNotFoundError as error:
        raise NotFoundError(f"The scorer {name!r}: {error}.") from error
    if not callable(found):
        names = [] if not function else dir(importlib.import_module(module))
        raise ConfigError(
            f"The scorer {name!r} is no function; write 'module:function'."
            + suggest(function, names)
        )
    return cast(Scorer, found)
