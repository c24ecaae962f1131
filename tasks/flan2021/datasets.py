"""All entries, by task name, in the order of the clusters."""

from tasks.flan2021 import (
    clusters,
    common_sense,
    coreference,
    entailment,
    miscellaneous,
    open_domain_qa,
    paraphrase,
    read_comp_and_common_sense,
    reading_comprehension,
    sentiment,
    structure_to_text,
    summarization,
    text_formatting,
    translation,
)
from tasks.flan2021.dataset import Dataset

_MODULES = (
    common_sense,
    coreference,
    entailment,
    miscellaneous,
    open_domain_qa,
    paraphrase,
    read_comp_and_common_sense,
    reading_comprehension,
    sentiment,
    structure_to_text,
    summarization,
    text_formatting,
    translation,
)
_BY_NAME = {dataset.name: dataset for module in _MODULES for dataset in module.DATASETS}

DATASETS: dict[str, Dataset] = {
    name: _BY_NAME[name] for name in (*clusters.all_tasks(), *clusters.EVALUATION_ONLY)
}
