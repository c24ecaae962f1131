"""What a gin configuration reaches: references and macros followed the way gin resolves them."""

import collections
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from gin import config as gin_config

from flan_jax import gin_source
from flan_jax.gin_source import Binding, Macro, Ref

Key = tuple[str, str, str]  # scope, complete selector, parameter
Node = tuple[tuple[str, ...], str]  # scopes in which a configurable is called, its selector
# (scope, selector) -> parameter -> the bindings that may count, one unless overrides are followed.
Alive = Mapping[tuple[str, str], Mapping[str, list[Binding]]]

MACRO = "%"  # Selector of all macros in a Key; the macro's name is its scope.


def registry() -> dict[str, Any]:
    """Returns the registered configurables by complete selector, gin's own left out."""
    # gin has no public way to list its registry.
    entries = gin_config._REGISTRY.items()
    return {name: entry for name, entry in entries if not name.startswith("gin.")}


def matching(selector: str) -> list[str]:
    """Returns the complete selectors that `selector`, maybe shortened, may stand for."""
    return gin_config._REGISTRY.matching_selectors(selector)


def complete(selector: str) -> str:
    """Returns the complete selector of a name that is known to be one."""
    return matching(selector)[0]


def constants(name: str) -> list[str]:
    """Returns the gin constants `name` may stand for, such as gin.REQUIRED."""
    return gin_config._CONSTANTS.matching_selectors(name)


def parameters(selector: str) -> dict[str, inspect.Parameter]:
    """Returns the parameters of a complete selector that gin may bind."""
    configurable = gin_config._REGISTRY[selector]
    try:
        named = dict(inspect.signature(configurable.wrapped).parameters)
    except (TypeError, ValueError):  # Some builtins have no signature.
        return {}
    if {"parent", "name"} <= set(named):  # Set by Flax on every module, not configuration.
        del named["parent"], named["name"]
    allowed = configurable.allowlist or named
    denied = configurable.denylist or ()
    return {
        name: each
        for name, each in named.items()
        if each.kind is not inspect.Parameter.VAR_POSITIONAL
        and name in allowed
        and name not in denied
    }


def key_text(key: Key) -> str:
    """Returns the left side of an assignment to `key`."""
    scope, selector, arg = key
    if selector == MACRO:
        return scope
    return f"{scope}/{selector}.{arg}" if scope else f"{selector}.{arg}"


def is_required(value: Any) -> bool:
    """Whether `%gin.REQUIRED` is in `value`."""
    return any(
        isinstance(leaf, Macro) and constants(leaf.name) == [gin_source.REQUIRED]
        for leaf in gin_source.leaves(value)
    )


def in_force(history: Mapping[Key, list[Binding]]) -> Alive:
    """The last binding of every key."""
    return _by_call((key, bindings[-1:]) for key, bindings in history.items())


def in_force_after(history: Mapping[Key, list[Binding]], order: int) -> Alive:
    """Bindings not yet overridden at position `order`, and all that come later."""

    def kept(bindings: list[Binding]) -> list[Binding]:
        overridden = [each.order for each in bindings[1:]]
        return [b for b, by in zip(bindings, overridden, strict=False) if by > order] + bindings[
            -1:
        ]

    return _by_call((key, kept(bindings)) for key, bindings in history.items())


def _by_call(items: Iterable[tuple[Key, list[Binding]]]) -> Alive:
    alive: dict[tuple[str, str], dict[str, list[Binding]]] = collections.defaultdict(dict)
    for (scope, selector, arg), bindings in items:
        alive[(scope, selector)][arg] = bindings
    return dict(alive)


def bound_args(
    alive: Alive, scopes: tuple[str, ...], selector: str, hide_before: int | None = None
) -> dict[str, list[Binding]]:
    """Returns parameter -> bindings for a call in `scopes`: an inner scope hides an outer one.

    With `hide_before`, an inner binding that stands later than that position hides nothing.
    """
    if selector == MACRO:
        return dict(alive.get(("/".join(scopes), selector), {}))
    found: dict[str, list[Binding]] = {}
    for depth in range(len(scopes) + 1):
        for arg, bindings in alive.get(("/".join(scopes[:depth]), selector), {}).items():
            hides = hide_before is None or any(each.order < hide_before for each in bindings)
            found[arg] = bindings if hides else [*found.get(arg, []), *bindings]
    return found


def reach(
    alive: Alive, roots: Iterable[Node], hide_before: int | None = None
) -> tuple[list[Node], list[Binding]]:
    """Follows references from `roots`.

    A reference with a scope is called in that scope alone, one without in the scope of its caller,
    and the value of a macro in a scope of the macro's name.

    Returns:
      The nodes and the bindings met, each once, in the order met.
    """
    nodes: dict[Node, None] = {}
    used: dict[Binding, None] = {}
    waiting = list(roots)[::-1]
    while waiting:
        node = waiting.pop()
        if node in nodes:
            continue
        nodes[node] = None
        scopes, selector = node
        for bindings in bound_args(alive, scopes, selector, hide_before).values():
            for binding in bindings:
                used[binding] = None
                for leaf in gin_source.leaves(binding.value):
                    if isinstance(leaf, Ref):
                        waiting.append((leaf.scope or scopes, complete(leaf.selector)))
                    elif isinstance(leaf, Macro):
                        waiting.append(((leaf.name,), MACRO))
    return list(nodes), list(used)
