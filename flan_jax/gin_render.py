"""Writes a checked configuration out as gin text: macros, then parameters, sorted by name."""

import inspect

import gin

from flan_jax import gin_check, gin_reach, gin_source
from flan_jax.gin_reach import MACRO, key_text


def bindings_text(checker: gin_check.Checker) -> str:
    """Returns what was given and is reached, one line each; it parses to the same configuration."""
    macros, given = _given(checker)
    return _join([*(macros[key] for key in sorted(macros)), *(given[key] for key in sorted(given))])


def effective_text(checker: gin_check.Checker) -> str:
    """Returns the same with the defaults of everything reached; it too parses again.

    Defaults that gin cannot write, such as objects, are left out.
    """
    macros, given = _given(checker)
    lines = [macros[key] for key in sorted(macros)]
    block = None
    for key, line in sorted({**_defaults(checker), **given}.items()):
        if key[0] != block:
            block = key[0]
            lines += ["", f"# {block}"]
        lines.append(line)
    return _join(lines)


# (selector, scope, parameter) sorts one configurable's lines together.
_Lines = dict[tuple[str, str, str], str]


def _given(checker: gin_check.Checker) -> tuple[_Lines, _Lines]:
    macros: _Lines = {}
    given: _Lines = {}
    for key, binding in checker.used.items():
        scope, selector, arg = key
        target = macros if selector == MACRO else given
        target[(selector, scope, arg)] = f"{key_text(key)} = {binding.value!r}"
    return macros, given


def _defaults(checker: gin_check.Checker) -> _Lines:
    lines: _Lines = {}
    for scopes, selector in checker.nodes:
        if selector == MACRO or selector.startswith("gin."):
            continue
        bound = gin_reach.bound_args(checker.alive, scopes, selector)
        for name, each in gin_reach.parameters(selector).items():
            default = each.default
            absent = default is inspect.Parameter.empty or default is gin.REQUIRED
            if name not in bound and not absent and gin_source.is_literal(default):
                lines[(selector, "", name)] = f"{selector}.{name} = {default!r}"
    return lines


def _join(lines: list[str]) -> str:
    return "\n".join(lines).lstrip("\n") + "\n"
