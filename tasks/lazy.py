"""seqio tasks and mixtures that are built when something of them is first asked for.

A collection with its variants has thousands of names, of which a run uses a few. Registering a name
this way costs microseconds, and seqio's registries, and whoever reads them, see ordinary objects.
"""

from collections.abc import Callable, Mapping
from typing import Any

import seqio


class LazyTask(seqio.Task):
    """A Task whose constructor arguments are made at first use.

    Args:
      name: the task's name.
      arguments: returns the other arguments of `seqio.Task`; called once.
    """

    def __init__(self, name: str, arguments: Callable[[], Mapping[str, Any]]):
        self._name = name
        self._arguments = arguments

    def __getattr__(self, attribute: str) -> Any:
        """Finishes the construction when an attribute is asked for that it would have set."""
        return _finish(self, seqio.Task, attribute)


class LazyMixture(seqio.Mixture):
    """A Mixture whose constructor arguments are made at first use.

    Args:
      name: the mixture's name.
      arguments: returns the other arguments of `seqio.Mixture`; called once.
    """

    def __init__(self, name: str, arguments: Callable[[], Mapping[str, Any]]):
        self._name = name
        self._arguments = arguments

    def __getattr__(self, attribute: str) -> Any:
        """Finishes the construction when an attribute is asked for that it would have set."""
        return _finish(self, seqio.Mixture, attribute)


def _finish(provider: Any, base: type, attribute: str) -> Any:
    # Python calls __getattr__ only for what is not there. Once the construction is done, that is a
    # wrong name; and copy and pickle probe for dunder names on half-made objects.
    arguments = provider.__dict__.get("_arguments")
    if arguments is None or attribute.startswith("__"):
        raise AttributeError(f"{type(provider).__name__!r} object has no attribute {attribute!r}")
    made = arguments()
    provider._arguments = None
    try:
        base.__init__(provider, provider._name, **made)  # pyright: ignore[reportCallIssue]
    except BaseException:
        provider._arguments = arguments
        raise
    return getattr(provider, attribute)


def add_task(name: str, arguments: Callable[[], Mapping[str, Any]]) -> None:
    """Registers a `LazyTask`, in place of a task of the same name."""
    seqio.TaskRegistry.remove(name)
    seqio.TaskRegistry.add_provider(name, LazyTask(name, arguments))


def add_mixture(name: str, arguments: Callable[[], Mapping[str, Any]]) -> None:
    """Registers a `LazyMixture`, in place of a mixture of the same name."""
    seqio.MixtureRegistry.remove(name)
    seqio.MixtureRegistry.add_provider(name, LazyMixture(name, arguments))
