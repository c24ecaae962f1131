"""Clusters of FLAN 2021 and what is trained when one of them is held out.

Source: figure 3 and section 2.2 of arXiv 2109.01652 for the paper's twelve clusters and the joint
exclusions; the public code (google-research/FLAN, flan/task_splits.py) for the seventeen clusters,
their order, and the ablations. Task names are the public code's.
"""

import dataclasses
import random
from collections.abc import Iterable

from flan_jax.errors import NotFoundError, suggest

# In the public code's order, which numbers its inter-cluster splits.
CLUSTERS: dict[str, tuple[str, ...]] = {
    "summarization": (
        "aeslc",
        "cnn_dailymail",
        "gigaword",
        "multi_news",
        "newsroom",
        "samsum",
        "xsum",
        "ag_news_subset",
        "opinion_abstracts_rotten_tomatoes",
        "opinion_abstracts_idebate",
        "wiki_lingua_english_en",
    ),
    "structure_to_text": ("web_nlg_en", "common_gen", "e2e_nlg", "dart"),
    "reading_comprehension": ("squad_v1", "squad_v2", "drop", "multirc", "openbookqa", "bool_q"),
    "open_domain_qa": ("trivia_qa", "natural_questions", "arc_challenge", "arc_easy"),
    "paraphrase": ("glue_mrpc", "glue_qqp", "paws_wiki", "stsb"),
    "sentiment": ("imdb_reviews", "sentiment140", "yelp_polarity_reviews", "sst2"),
    "text_formatting": ("true_case", "fix_punct", "word_segment"),
    "common_sense": ("copa", "hellaswag", "story_cloze", "piqa"),
    "translation": (
        "para_crawl_enes",
        "wmt14_enfr",
        "wmt16_translate_deen",
        "wmt16_translate_tren",
        "wmt16_translate_csen",
        "wmt16_translate_fien",
        "wmt16_translate_roen",
        "wmt16_translate_ruen",
    ),
    "coreference": ("definite_pronoun_resolution", "winogrande", "wsc"),
    "entailment": (
        "anli_r1",
        "anli_r2",
        "anli_r3",
        "cb",
        "rte",
        "mnli_matched",
        "mnli_mismatched",
        "qnli",
        "wnli",
        "snli",
    ),
    "math": ("math_dataset",),
    "conversational_qa": ("quac", "coqa"),
    "word_disambiguation": ("wic",),
    "linguistic_acceptability": ("cola",),
    "question_classification": ("trec",),
    "read_comp_and_common_sense": ("record", "cosmos_qa"),
}
# Only ever evaluated; the paper counts it in place of SuperGLUE's WSC.
EVALUATION_ONLY = {"wsc273": "coreference"}

PAPER_CLUSTERS = {
    "summarization": "Summarization",
    "structure_to_text": "Struct to text",
    "reading_comprehension": "Reading comp.",
    "open_domain_qa": "Closed-book QA",
    "paraphrase": "Paraphrase",
    "sentiment": "Sentiment",
    "common_sense": "Commonsense",
    "translation": "Translation",
    "coreference": "Coreference",
    "entailment": "NLI",
    "read_comp_and_common_sense": "Read. comp. w/ commonsense",
    # Counted as one.
    "text_formatting": "Misc.",
    "math": "Misc.",
    "conversational_qa": "Misc.",
    "word_disambiguation": "Misc.",
    "linguistic_acceptability": "Misc.",
    "question_classification": "Misc.",
}

# Held-out cluster -> clusters that leave the training mixture with it (section 2.2).
LEAVE_TOGETHER = {
    "reading_comprehension": ("read_comp_and_common_sense",),
    "common_sense": ("read_comp_and_common_sense",),
    "read_comp_and_common_sense": ("reading_comprehension", "common_sense"),
    "paraphrase": ("entailment",),
    "entailment": ("paraphrase",),
}

# Views of the same rows, which are held out or trained together.
RELATED = (
    ("anli_r1", "anli_r2", "anli_r3"),
    ("mnli_matched", "mnli_mismatched"),
    ("squad_v1", "squad_v2"),
    ("arc_challenge", "arc_easy"),
    ("opinion_abstracts_rotten_tomatoes", "opinion_abstracts_idebate"),
)

SUPERGLUE = ("bool_q", "cb", "copa", "multirc", "record", "rte", "wic", "wsc")
TEMPLATE_COUNTS = (1, 2, 4, 7, 10)
SUPERGLUE_TASK_COUNTS = tuple(range(5, 56, 5))
INTRA_CLUSTER_SPLITS = 10

# Figure 6: clusters in the order in which they are added, and what is evaluated.
ADDED_CLUSTERS = (
    "summarization",
    "translation",
    "reading_comprehension",
    "sentiment",
    "structure_to_text",
    "coreference",
    "conversational_qa",
)
ADDED_CLUSTERS_HELD_OUT = ("entailment", "common_sense", "open_domain_qa")
TASKS_PER_CLUSTER = (1, 2, 3, 4)


@dataclasses.dataclass(frozen=True)
class Split:
    """Which tasks are trained and which are evaluated without having been trained.

    Attributes:
      name: part of the mixtures' names.
      train: tasks trained.
      held_out: tasks evaluated.
      sealed: whether nothing of `held_out` may be in `train`; not so for the split of all tasks.
    """

    name: str
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    sealed: bool = True


def all_tasks() -> tuple[str, ...]:
    """The tasks of all clusters, in order."""
    return _tasks_of(CLUSTERS)


def cluster_of(task: str) -> str:
    """Returns the cluster of a task; NotFoundError for an unknown one."""
    for cluster, tasks in CLUSTERS.items():
        if task in tasks:
            return cluster
    if task in EVALUATION_ONLY:
        return EVALUATION_ONLY[task]
    known = [*all_tasks(), *EVALUATION_ONLY]
    raise NotFoundError(f"FLAN 2021 has no task {task!r}.{suggest(task, known)}")


def inter_cluster(cluster: str) -> Split:
    """Holds out a cluster, and leaves out of training what the paper leaves out with it.

    >>> "snli" in inter_cluster("paraphrase").train
    False
    """
    if cluster not in CLUSTERS:
        raise NotFoundError(f"FLAN 2021 has no cluster {cluster!r}.{suggest(cluster, CLUSTERS)}")
    out = {cluster, *LEAVE_TOGETHER.get(cluster, ())}
    held_out = CLUSTERS[cluster]
    if cluster == "coreference":
        held_out += tuple(EVALUATION_ONLY)
    train = _tasks_of(name for name in CLUSTERS if name not in out)
    return Split(f"inter_cluster_{cluster}", train, held_out)


def intra_cluster(number: int) -> Split:
    """Holds out one task, with those related to it, of every cluster that has several.

    Which one is a seeded permutation's entry number `number`, modulo the cluster's size. The public
    code's rule with Python's generator, so the tasks of a split number are not the public ones.
    """
    held_out: list[str] = []
    for position, tasks in enumerate(CLUSTERS.values()):
        groups = _related_groups(tasks)
        if len(groups) > 1:
            random.Random(position).shuffle(groups)
            held_out += groups[number % len(groups)]
    train = tuple(task for task in all_tasks() if task not in held_out)
    return Split(f"intra_cluster_{number}", train, tuple(held_out))


def everything() -> Split:
    """Trains and evaluates all tasks."""
    return Split("all", all_tasks(), all_tasks(), sealed=False)


def superglue(num_tasks: int | None = None) -> Split:
    """Holds out SuperGLUE's tasks; trains all others, or the first of them in an order shuffled."""
    others = [task for task in all_tasks() if task not in SUPERGLUE]
    if num_tasks is None:
        return Split("superglue", tuple(others), SUPERGLUE)
    random.Random(42).shuffle(others)
    return Split(f"superglue_{num_tasks}tasks", tuple(others[:num_tasks]), SUPERGLUE)


def added_clusters(count: int, tasks_per_cluster: int | None = None) -> Split:
    """Trains the first clusters of figure 6; evaluates NLI, commonsense and closed-book QA.

    Args:
      count: 1 to 7 clusters.
      tasks_per_cluster: the first tasks of each; None takes all.
    """
    train = tuple(
        task for name in ADDED_CLUSTERS[:count] for task in CLUSTERS[name][:tasks_per_cluster]
    )
    each = "" if tasks_per_cluster is None else f"_{tasks_per_cluster}each"
    return Split(f"{count}clusters{each}", train, _tasks_of(ADDED_CLUSTERS_HELD_OUT))


def all_splits() -> tuple[Split, ...]:
    """Every split of the paper and its code."""
    return (
        *(inter_cluster(name) for name in CLUSTERS),
        *(intra_cluster(number) for number in range(INTRA_CLUSTER_SPLITS)),
        everything(),
        superglue(),
        *(superglue(count) for count in SUPERGLUE_TASK_COUNTS),
        *(added_clusters(count) for count in range(1, len(ADDED_CLUSTERS) + 1)),
        *(added_clusters(len(ADDED_CLUSTERS), each) for each in TASKS_PER_CLUSTER),
    )


def _tasks_of(clusters: Iterable[str]) -> tuple[str, ...]:
    return tuple(task for name in clusters for task in CLUSTERS[name])


def _related_groups(tasks: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Parts tasks into groups that stay together."""
    groups: dict[tuple[str, ...], None] = {}
    for task in tasks:
        group = next((group for group in RELATED if task in group), (task,))
        groups[group] = None
    return list(groups)
