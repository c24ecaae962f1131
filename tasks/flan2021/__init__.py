"""FLAN 2021 (arXiv 2109.01652): 70 tasks over 62 data sets in 12 clusters, and its mixtures.

    import tasks.flan2021
    tasks.flan2021.register()   # names only; a task is built when it is first used

or, in a recipe, `MIXTURE_OR_TASK_MODULE = 'tasks.flan2021'`. `variants` says what tasks are called,
`mixtures` what mixtures are. Rows come from TFDS, or from a data set's own files
(`tasks.Flan2021.files`). The instruction wordings are ours: as many for each data set, in the same
directions, as the published ones.
"""


def register() -> None:
    """Registers all tasks and mixtures as gin's `tasks.Flan2021` and `tasks.Paths` say.

    Called again with the same values, it leaves what it registered before.
    """
    from tasks.flan2021 import registry  # Imports seqio, so not before gin has been read.

    registry.register()


def describe(name: str):
    """Returns a `flan_jax.data.description.Description` of a task or mixture, or None."""
    from tasks.flan2021 import descriptions

    return descriptions.describe(name)
