"""seqio tasks and mixtures that are built when something of them is first asked for.

A collection with its variants has thousands of names, of which a run uses a few. Registering a name
this way costs microseconds, and seqio's registries, and whoever reads them, see ordinary objects.
"""

from collections.abc import Callable, Mapping
from typing import Any

import seqio


class _Lazy:
    """Finishes a construction when something is asked for that it would have set.

    Args:
      name: the object's name.
      arguments: returns the other arguments of seqio's class; called once.
    """

    seqio_class: type

    def __init__(self, name: str, arguments: Callable[[], Mapping[str, Any]]):
        self._name = name
        self._arguments: Callable[[], Mapping[str, Any]] | None = arguments

    def __getattr__(self, attribute: str) -> Any:
        """Python calls this only for what is not there."""
        # Once the construction is done, that is a wrong name; and copy and pickle probe for dunder
        # names on half-made objects.
        arguments = self.__dict__.get("_arguments")
        if arguments is None or attribute.startswith("__"):
            kind = type(self).__name__
            raise AttributeError(f"{kind!r} object has no attribute {attribute!r}")
        made = arguments()
        self._arguments = None
        try:
            self.seqio_class.__init__(self, self._name, **made)  # pyright: ignore[reportCallIssue]
        except BaseException:
            self._arguments = arguments
            raise
        return getattr(self, attribute)


class LazyTask(_Lazy, seqio.Task):
    """A Task whose constructor arguments are made at first use."""

    seqio_class = seqio.Task


class LazyMixture(_Lazy, seqio.Mixture):
    """A Mixture whose constructor arguments are made at first use."""

    seqio_class = seqio.Mixture


def add_task(name: str, arguments: Callable[[], Mapping[str, Any]]) -> None:
    """Registers a `LazyTask`, in place of a task of the same name."""
    seqio.TaskRegistry.remove(name)
    seqio.TaskRegistry.add_provider(name, LazyTask(name, arguments))


def add_mixture(name: str, arguments: Callable[[], Mapping[str, Any]]) -> None:
    """Registers a `LazyMixture`, in place of a mixture of the same name."""
    seqio.MixtureRegistry.remove(name)
    seqio.MixtureRegistry.add_provider(name, LazyMixture(name, arguments))
