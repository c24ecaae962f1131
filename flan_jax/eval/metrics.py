"""A task's own seqio metrics over predictions and scores, as seqio's Evaluator applies them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from flan_jax.errors import ConfigError
from flan_jax.eval.examples import TaskRows
from flan_jax.eval.predictions import Prediction, Score


@dataclasses.dataclass(frozen=True)
class Needs:
    """Which model outputs a task's metrics want."""

    predictions: bool
    scores: bool


def needs(task: Any) -> Needs:
    """Looks at the task's metrics; a task without any is predicted, so that it can be read.

    Raises:
      ConfigError: a metric wants outputs we do not produce.
    """
    from seqio.metrics import ModelOutputType

    types = {metric.model_output_type for metric in task.metric_objs}
    known = {
        ModelOutputType.PREDICTION,
        ModelOutputType.PREDICTION_WITH_AUX,
        ModelOutputType.SCORE,
    }
    if unknown := types - known:
        names = ", ".join(sorted(ModelOutputType.to_str(kind) for kind in unknown))
        raise ConfigError(
            f"Task {task.name!r} has a metric over {names}; evaluation offers predictions, "
            "predictions with aux values ('scores') and scores."
        )
    return Needs(
        predictions=not types or bool(types & (known - {ModelOutputType.SCORE})),
        scores=ModelOutputType.SCORE in types,
    )


def compute(
    found: TaskRows,
    predictions: Sequence[Prediction] | None,
    scores: Sequence[Score] | None,
    target_length: int,
) -> dict[str, float]:
    """Applies every metric of the task; the best output of a row is its prediction.

    Args:
      found: the rows, in the order of the outputs.
      predictions: per row, if `needs` asks for them.
      scores: per row, likewise.
      target_length: T of the token array given to the metrics.

    Returns:
      Metric name -> number. Values that are not numbers (texts, images) are left out.

    Raises:
      ValueError: two metrics give the same name, as in seqio.
    """
    import seqio
    from seqio.metrics import ModelOutputType

    outputs: dict[Any, Any] = {}
    if predictions is not None:
        tokens_NxT = np.zeros((len(predictions), target_length), np.int32)
        for i, prediction in enumerate(predictions):
            tokens_NxT[i, : len(prediction.tokens[0])] = prediction.tokens[0]
        best_N = np.array([prediction.scores[0] for prediction in predictions])
        outputs[ModelOutputType.PREDICTION] = tokens_NxT
        outputs[ModelOutputType.PREDICTION_WITH_AUX] = (tokens_NxT, {"scores": best_N})
    if scores is not None:
        outputs[ModelOutputType.SCORE] = np.array([score.log_likelihood for score in scores])

    task, values, targets = found.task, {}, None
    for metric in task.metric_objs:
        made = metric.from_model_output(
            found.examples, outputs[metric.model_output_type], task.output_features
        )
        if isinstance(made, seqio.metrics.CollectingMetric):
            result, inferred = made.actual_compute(
                found.examples, task.output_features, "targets", targets
            )
            targets = inferred["targets"]
        else:
            result = made.compute()
        for name, value in result.items():
            if name in values:
                raise ValueError(f"Task {task.name!r} has two metrics called {name!r}.")
            values[name] = value
    numbers = {name: _number(value) for name, value in values.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def _number(value: Any) -> float | None:
    import seqio

    if isinstance(value, seqio.metrics.Scalar):
        value = value.value
    if isinstance(value, seqio.metrics.MetricValue):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
