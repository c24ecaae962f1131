"""Names of FLAN 2021's mixtures for gin, so that a recipe says what it holds out and how it asks.

Light on purpose, like `tasks.settings`: a configuration is read before seqio is imported.
"""

import gin

from flan_jax.errors import ConfigError, NotFoundError, suggest
from tasks.flan2021 import clusters, mixtures
from tasks.flan2021.variants import ALL_TEMPLATES, SHOTS, Prompt, Variant


@gin.configurable(module="flan2021")
def train_mixture(
    split: str = gin.REQUIRED,
    shots: int = 0,
    templates: int = ALL_TEMPLATES,
    prompt: Prompt = "template",
) -> str:
    """Returns the name of the training mixture.

    Args:
      split: see `tasks.flan2021.mixtures`, such as 'inter_cluster_entailment' or '3clusters'.
      shots: most exemplars; 16 is what the public code calls 'multi'.
      templates: the first so many wordings of each data set.
      prompt: 'template', 'no_template' or 'dataset_name'.

    Raises:
      NotFoundError: there is no such split.
      ConfigError: the split is not trained in this form.
    """
    found = _split(split)
    variant = Variant(shots=shots, templates=templates, prompt=prompt)
    known = list(mixtures.train_variants(found))
    if variant not in known:
        names = [mixtures.train_name(found, one) for one in known]
        raise ConfigError(
            f"flan2021.train_mixture: the split {split!r} is not trained with shots={shots}, "
            f"templates={templates}, prompt={prompt!r}. There are: {', '.join(names)}."
        )
    return mixtures.train_name(found, variant)


@gin.configurable(module="flan2021")
def eval_mixture(
    split: str = gin.REQUIRED, shots: int = 0, options: bool = True, prompt: Prompt = "template"
) -> str:
    """Returns the name of the mixture of the held-out tasks, a task for each wording.

    Args:
      split: as of `train_mixture`.
      shots: most exemplars.
      options: whether the possible answers are listed.
      prompt: 'template', 'no_template' or 'dataset_name'.

    Raises:
      NotFoundError: there is no such split.
      ConfigError: the split is not evaluated in this form.
    """
    found = _split(split)
    plain = shots == 0 and options and mixtures.has_ablations(found)
    if shots not in SHOTS or (prompt != "template" and not plain):
        raise ConfigError(
            f"flan2021.eval_mixture: the split {split!r} is not evaluated with shots={shots}, "
            f"options={options}, prompt={prompt!r}. Shots are {list(SHOTS)}; the prompts without "
            "an instruction are evaluated zero-shot, on the split 'all' and the inter-cluster ones."
        )
    return mixtures.eval_name(found, shots, options, prompt)


def _split(name: str) -> clusters.Split:
    splits = {split.name: split for split in clusters.all_splits()}
    if name not in splits:
        raise NotFoundError(
            f"FLAN 2021 has no split {name!r}.{suggest(name, splits)} Splits: {', '.join(splits)}."
        )
    return splits[name]
