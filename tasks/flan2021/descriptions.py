"""What `flan-jax inspect` shows of a task, and by what it tells which tasks share rows."""

import dataclasses
import functools

from flan_jax.data.description import Description
from tasks.flan2021 import clusters, variants
from tasks.flan2021.dataset import Dataset
from tasks.flan2021.datasets import DATASETS
from tasks.flan2021.variants import Variant

_PREFIX = f"{variants.PREFIX}_"


def describe(name: str) -> Description | None:
    """Returns the description of a task or an evaluation mixture, None for other names."""
    if name in _tasks():
        dataset, variant = _tasks()[name]
        return Description(
            dataset=dataset.name,
            source=dataset.tfds.partition(":")[0],
            splits=dataset.splits,
            facts=_facts(dataset),
            siblings=_siblings(dataset, variant),
        )
    sealed = {split.name: split.sealed for split in clusters.all_splits()}
    of = [split for split in sealed if name.startswith(f"{_PREFIX}{split}_")]
    if of and name.endswith("_eval"):
        # '7clusters_2each' starts like '7clusters'.
        return Description(sealed=sealed[max(of, key=len)])
    return None


@functools.cache
def _tasks() -> dict[str, tuple[Dataset, Variant]]:
    return {
        variant.task_name(dataset.name): (dataset, variant)
        for dataset in DATASETS.values()
        for variant in variants.variants_of(dataset)
    }


def _siblings(dataset: Dataset, variant: Variant) -> dict[int, str]:
    """The same variant with other numbers of solved examples."""
    others = (dataclasses.replace(variant, shots=shots) for shots in variants.SHOTS)
    names = {other.shots: other.task_name(dataset.name) for other in others}
    return {shots: name for shots, name in names.items() if name in _tasks()}


def _facts(dataset: Dataset) -> dict[str, str]:
    cluster = clusters.cluster_of(dataset.name)
    facts = {
        "cluster": f"{cluster} (paper: {clusters.PAPER_CLUSTERS[cluster]})",
        "data set": f"{dataset.name} (paper: {dataset.paper_name or 'not in it'})",
        "TFDS": dataset.tfds,
        "rows": ", ".join(f"{split} = {extent}" for split, extent in dataset.splits.items()),
        "files": dataset.files.url if dataset.files else "",
        "licence": dataset.licence,
        "citation": dataset.citation,
        "note": dataset.note,
    }
    return {label: text for label, text in facts.items() if text}
