"""The table of a held-out cluster: each data set's mean and deviation over its wordings.

Protocol (section 2.3 and appendix A of arXiv 2109.01652): a data set's score is the mean over its
wordings; beside it stands the test score of the wording that is best on the validation split.
"""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from tasks.flan2021 import clusters
from tasks.flan2021.variants import MULTI, Variant, parse_task_name

Results = Mapping[str, Mapping[str, Any]]

# What counts where a task has several metrics: F1 for these (section 2.3), else the first that it
# has of `_METRICS`.
_F1 = ("drop", "multirc", "record", "squad_v1", "squad_v2")
_METRICS = ("accuracy", "exact_match", "f1", "bleu", "rougeLsum", "spearman", "mean_edit")
_LOWER_IS_BETTER = ("mean_edit",)


@dataclasses.dataclass(frozen=True)
class Published:
    """FLAN 137B's zero-shot score; `few_shot` with as many exemplars as fitted."""

    mean: float | None = None
    best_dev: float | None = None
    few_shot: float | None = None


# From secondary copies (model cards, leaderboards): the paper's own table was not at hand.
PUBLISHED = {
    "anli_r1": Published(mean=47.7),
    "anli_r2": Published(mean=43.9),
    "anli_r3": Published(mean=47.0),
    "cb": Published(mean=64.1),
    "bool_q": Published(best_dev=82.9),
    "winogrande": Published(best_dev=71.2, few_shot=72.8),
    "arc_challenge": Published(best_dev=63.1, few_shot=63.8),
    "squad_v2": Published(few_shot=43.1),
}


@dataclasses.dataclass(frozen=True)
class DatasetScore:
    """One data set in one setting.

    Attributes:
      dataset: its name.
      setting: shots and options of the prompts.
      metric: name of the metric.
      scores: by wording number, on the evaluated split.
      best_dev: number of the wording with the best validation score; None without validation.
      published: FLAN 137B's scores.
    """

    dataset: str
    setting: str
    metric: str
    scores: Mapping[int, float]
    best_dev: int | None
    published: Published

    @property
    def mean(self) -> float:
        """Mean over the wordings."""
        return statistics.fmean(self.scores.values())

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over the wordings; None for a single one."""
        return statistics.stdev(self.scores.values()) if len(self.scores) > 1 else None


def summarise(results: Results, dev_results: Results | None = None) -> list[DatasetScore]:
    """Gathers the tasks of single wordings by data set and setting, in the clusters' order.

    Args:
      results: task -> metric -> value, on the split that counts. Other tasks, and tasks that
        failed, are left out.
      dev_results: the same tasks on the validation split.
    """
    found = _by_dataset(results)
    dev = _by_dataset(dev_results or {})
    order = [*clusters.all_tasks(), *clusters.EVALUATION_ONLY]
    summary = []
    for dataset, variant in sorted(found, key=lambda key: (order.index(key[0]), key[1].suffix)):
        by_wording = found[dataset, variant]
        metric = _metric_of(dataset, by_wording)
        if metric is None:
            continue
        scores = _scores(by_wording, metric)
        dev_scores = _scores(dev.get((dataset, variant), {}), metric)
        sign = -1 if metric in _LOWER_IS_BETTER else 1
        summary.append(
            DatasetScore(
                dataset=dataset,
                setting=_setting(variant),
                metric=metric,
                scores=scores,
                # Of equals the first.
                best_dev=max(
                    (i for i in dev_scores if i in scores),
                    key=lambda i: (sign * dev_scores[i], -i),
                    default=None,
                ),
                published=PUBLISHED.get(dataset, Published()),
            )
        )
    return summary


@gin.configurable(module="flan2021")
def cluster_table(results: Results, dev_results: Results | None = None) -> dict[str, Any]:
    """Returns `summarise` as a table: 'title', 'header', 'rows' of texts, 'notes'.

    The last row of each cluster is the mean over its data sets of either column of ours.
    """
    header = [
        "data set", "setting", "metric", "wordings", "mean", "std", "best on dev", "its score",
        "FLAN 137B mean", "best on dev", "few-shot",
    ]  # fmt: skip
    summary = summarise(results, dev_results)
    rows = []
    for cluster in clusters.CLUSTERS:
        members = [one for one in summary if clusters.cluster_of(one.dataset) == cluster]
        rows += [_row(one) for one in members]
        for setting in dict.fromkeys(one.setting for one in members):
            rows.append(_mean_row(cluster, [one for one in members if one.setting == setting]))
    return {
        "title": "FLAN 2021: wordings of each data set",
        "header": header,
        "rows": rows,
        "notes": [
            "Scores in percent. Mean and sample deviation over wordings; 'its score' is that of "
            "the wording that is best on the validation split.",
            "FLAN 137B: zero-shot scores of a 137-billion-parameter decoder, from secondary "
            "copies of arXiv 2109.01652, appendix A; they stand here for orientation.",
        ],
    }


def _by_dataset(results: Results) -> dict[tuple[str, Variant], dict[int, Mapping[str, Any]]]:
    grouped: dict[tuple[str, Variant], dict[int, Mapping[str, Any]]] = {}
    for name, values in results.items():
        parsed = parse_task_name(name)
        if parsed is None or "error" in values:
            continue
        dataset, variant = parsed
        assert variant.template is not None
        key = dataset, dataclasses.replace(variant, template=None)
        grouped.setdefault(key, {})[variant.template] = values
    return grouped


def _metric_of(dataset: str, by_wording: Mapping[int, Mapping[str, Any]]) -> str | None:
    names = ("f1", *_METRICS) if dataset in _F1 else _METRICS
    return next(
        (name for name in names if all(name in values for values in by_wording.values())), None
    )


def _scores(by_wording: Mapping[int, Mapping[str, Any]], metric: str) -> dict[int, float]:
    found = {i: float(values[metric]) for i, values in by_wording.items() if metric in values}
    return dict(sorted(found.items()))


def _setting(variant: Variant) -> str:
    shots = "multi-shot" if variant.shots == MULTI else f"{variant.shots}-shot"
    how = "ranked" if variant.scoring else "generated"
    without = "" if variant.options else ", no options"
    return f"{shots if variant.shots else 'zero-shot'}, {how}{without}"


def _row(one: DatasetScore) -> list[str]:
    best = one.best_dev
    published = one.published
    return [
        one.dataset,
        one.setting,
        one.metric,
        str(len(one.scores)),
        _number(one.mean),
        _number(one.deviation),
        "" if best is None else str(best),
        "" if best is None else _number(one.scores[best]),
        _number(published.mean),
        _number(published.best_dev),
        _number(published.few_shot),
    ]


def _mean_row(cluster: str, members: Sequence[DatasetScore]) -> list[str]:
    name = f"{clusters.PAPER_CLUSTERS[cluster]}: {cluster}"
    best = [one.scores[one.best_dev] for one in members if one.best_dev is not None]
    return [
        name,
        members[0].setting,
        f"mean of {len(members)}",
        "",
        _number(statistics.fmean(one.mean for one in members)),
        "",
        "",
        _number(statistics.fmean(best)) if len(best) == len(members) else "",
        "",
        "",
        "",
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
