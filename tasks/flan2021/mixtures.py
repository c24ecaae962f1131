"""The mixtures: what is trained, and what is evaluated without having been trained.

    flan2021_inter_cluster_entailment_10templates_train          a cluster held out
    flan2021_inter_cluster_entailment_10templates_5_shot_train
    flan2021_inter_cluster_entailment_eval                        its tasks, a wording at a time
    flan2021_inter_cluster_entailment_5_shot_no_options_eval

Splits: `inter_cluster_<cluster>`, `intra_cluster_<0..9>`, `all`, `superglue`,
`superglue_<n>tasks`, `<n>clusters`, `7clusters_<n>each`. `superglue` also comes with 1, 2, 4 and 7
templates. `flan2021_all_no_template_train` and `flan2021_all_dataset_name_train`, and the same of
every inter-cluster split, are the ablations of appendix B.2.

Training mixes in proportion to rows, at most 3,000 (section 2.1, appendix C of the paper); the
tasks of an evaluation mixture have no rates that mean anything. Data sets with options are
evaluated by ranking them, others by generation, as in the paper.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from tasks import rates
from tasks.flan2021 import clusters
from tasks.flan2021.clusters import Split
from tasks.flan2021.dataset import Dataset
from tasks.flan2021.variants import ALL_TEMPLATES, PREFIX, SHOTS, Prompt, Variant, shots_suffix

# (task name, rate).
Members = list[tuple[str, rates.Cap | rates.Weight]]


def train_name(split: Split, variant: Variant) -> str:
    """Returns the name of a training mixture.

    >>> train_name(clusters.everything(), Variant(shots=5))
    'flan2021_all_10templates_5_shot_train'
    """
    templates = f"{variant.templates}templates"
    form = templates if variant.prompt == "template" else variant.prompt
    return f"{PREFIX}_{split.name}_{form}{variant.suffix}_train"


def eval_name(
    split: Split, shots: int = 0, options: bool = True, prompt: Prompt = "template"
) -> str:
    """Returns the name of an evaluation mixture.

    >>> eval_name(clusters.inter_cluster("entailment"), shots=5)
    'flan2021_inter_cluster_entailment_5_shot_eval'
    """
    form = "" if prompt == "template" else f"_{prompt}"
    without = "" if options else "_no_options"
    return f"{PREFIX}_{split.name}{form}{shots_suffix(shots)}{without}_eval"


def has_ablations(split: Split) -> bool:
    """Whether the prompts without an instruction are trained and evaluated on the split."""
    return split.name == "all" or split.name.startswith("inter_cluster")


def train_variants(split: Split) -> Iterator[Variant]:
    """Yields the variants in which a split is trained."""
    for shots in SHOTS:
        yield Variant(shots=shots)
    if split.name == "superglue":
        for count in clusters.TEMPLATE_COUNTS:
            if count != ALL_TEMPLATES:
                yield Variant(templates=count)
    if has_ablations(split):
        yield Variant(prompt="no_template")
        yield Variant(prompt="dataset_name")


def train_tasks(
    split: Split, datasets: Mapping[str, Dataset], variant: Variant, cap: int | None
) -> Members:
    """Returns (task name, rate) of a training mixture, as far as `datasets` go."""
    return [(variant.task_name(name), rates.Cap(cap)) for name in split.train if name in datasets]


def eval_tasks(
    split: Split,
    datasets: Mapping[str, Dataset],
    shots: int = 0,
    options: bool = True,
    prompt: Prompt = "template",
) -> Members:
    """Returns (task name, rate) of an evaluation mixture: a task for each wording.

    Only those of `datasets` are in it. A data set without a training split has no exemplars, and is
    left out with `shots`.
    """
    names = []
    for name in split.held_out:
        dataset = datasets.get(name)
        if dataset is None or (shots and "train" not in dataset.splits):
            continue
        shown = options or not dataset.has_options
        wordings = range(len(dataset.wordings[dataset.target])) if prompt == "template" else [None]
        names += [
            Variant(
                template=wording,
                shots=shots,
                options=shown,
                scoring=dataset.has_options,
                prompt=prompt,
            ).task_name(name)
            for wording in wordings
        ]
    return [(name, rates.Weight(1.0)) for name in names]


def all_mixtures(
    datasets: Mapping[str, Dataset], cap: int | None
) -> Iterator[tuple[str, Callable[[], Members]]]:
    """Yields the name of every split and variant's mixture, and what gives its members."""
    for split in clusters.all_splits():
        for variant in train_variants(split):
            yield train_name(split, variant), partial(train_tasks, split, datasets, variant, cap)
        for options in (True, False):
            for shots in SHOTS:
                members = partial(eval_tasks, split, datasets, shots, options)
                yield eval_name(split, shots, options), members
        if has_ablations(split):
            for prompt in ("no_template", "dataset_name"):
                members = partial(eval_tasks, split, datasets, prompt=prompt)
                yield eval_name(split, prompt=prompt), members
