"""Whose modules a configuration may have imported.

Importing a module runs its code, and gin files name modules: in `import` lines, as the module of
tasks, as a scorer's 'module:function'. Files come from others, with a checkpoint for instance. So a
file may name our own modules, and those that the user has named, with a flag or in the environment.
What a flag holds is the user's own word.
"""

import argparse
import dataclasses
import os
from collections.abc import Iterator, Sequence

from flan_jax.errors import ConfigError
from flan_jax.gin_flags import ALLOW_IMPORTS, OF_FILE, VARIABLE
from flan_jax.gin_source import Binding, Location, Problem, Source, leaves

ALWAYS = ("flan_jax", "tasks", "seqio")
# (configurable, parameter) whose texts are imported: 'module' or 'module:function'.
PARAMETERS = (("utils.DatasetConfig", "module"), ("toxicity.Toxicity", "scorer"))
MACRO = "MIXTURE_OR_TASK_MODULE"


@dataclasses.dataclass(frozen=True)
class Trust:
    """What the user allows.

    Attributes:
      everything: files may name any module.
      flags: bindings given as flags are the user's own; False for a process whose flags a gin file
        has written.
    """

    everything: bool = False
    flags: bool = True


DEFAULT = Trust()


@dataclasses.dataclass(frozen=True)
class Permit:
    """A `Trust` together with the modules it comes to, for one configuration.

    Attributes:
      trust: what the user allows.
      modules: that files may name, each with all below it.
    """

    trust: Trust
    modules: tuple[str, ...]

    def allows(self, named: str) -> bool:
        """Whether a file may name 'module' or 'module:function'."""
        module = named.partition(":")[0]
        return self.trust.everything or any(
            module == each or module.startswith(f"{each}.") for each in self.modules
        )

    def is_own(self, where: Location) -> bool:
        """Whether the user wrote what stands there."""
        return self.trust.flags and not where.line

    def problem(self, named: str, where: Location | None) -> Problem:
        """Says that a file names what it may not."""
        module = named.partition(":")[0]
        return Problem(
            where,
            f"{module!r} would be imported, which runs its code, because a gin file says so.",
            f"if you trust it, set {VARIABLE}={module} in the environment, or give "
            f"{ALLOW_IMPORTS} for all that the files name",
        )


def permit(trust: Trust, source: Source) -> Permit:
    """Returns what files may name: ours, those in the environment, those that flags name."""
    own = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
    if trust.flags:
        for binding in source.bindings:
            if not binding.location.line and _names_modules(binding):
                own += [text.partition(":")[0] for text in texts(binding)]
    return Permit(trust, tuple(dict.fromkeys((*ALWAYS, *own))))


def _names_modules(binding: Binding) -> bool:
    if not binding.arg:
        return binding.selector == MACRO
    return any(
        arg == binding.arg and f".{selector}".endswith(f".{binding.selector}")
        for selector, arg in PARAMETERS
    )


def texts(binding: Binding) -> Iterator[str]:
    """Yields the texts in a binding's value."""
    return (leaf for leaf in leaves(binding.value) if isinstance(leaf, str) and leaf)


# ------------------------------------------------------------- the configuration in force

_permit = Permit(DEFAULT, ALWAYS)
_named: dict[str, Location] = {}


def apply(given: Permit, source: Source) -> None:
    """Makes this the permit of what `check` is asked."""
    global _permit
    clear()
    _permit = given
    for binding in source.bindings:
        if not given.is_own(binding.location):
            _named.update(dict.fromkeys(texts(binding), binding.location))


def clear() -> None:
    """Forgets the configuration: nothing is named by files then."""
    global _permit
    _permit = Permit(DEFAULT, ALWAYS)
    _named.clear()


def check(named: str) -> None:
    """Is called before 'module' or 'module:function' is imported because a setting says so.

    Raises:
      ConfigError: it comes from a gin file, and the user has not allowed it.
    """
    if named in _named and not _permit.allows(named):
        raise ConfigError(str(_permit.problem(named, _named[named])))


# ------------------------------------------------------------------------------- flags


def of_flags(args: argparse.Namespace) -> Trust:
    """Returns what a command's flags allow."""
    return Trust(
        getattr(args, "allow_gin_imports", False), not getattr(args, "gin_flags_of_file", False)
    )


def child_flags(written: Sequence[str]) -> list[str]:
    """Returns flags for a process of ours that gets the flags `written`, by a gin file maybe.

    Raises:
      ConfigError: one of them would allow what only the user may.
    """
    for flag in written:
        if flag.split("=", 1)[0] in (ALLOW_IMPORTS, OF_FILE):
            raise ConfigError(f"A gin file cannot give {flag}. Give it on the command line.")
    return [OF_FILE, *([ALLOW_IMPORTS] if _permit.trust.everything else [])]


def child_environment() -> dict[str, str]:
    """Returns the environment for such a process: it may import what this one may."""
    return {**os.environ, VARIABLE: ",".join(_permit.modules)}
