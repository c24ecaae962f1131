"""Rules a gin configuration must keep before anything is run with it.

What gin itself lets pass, or reports only when the value is first used, is a mistake here: an
unknown configurable, parameter or macro; a macro nobody reads; a binding no entry point reaches; a
key bound twice in one file; a REQUIRED value or a parameter without default that is not given.
"""

import collections
import dataclasses
import difflib
import importlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gin

from flan_jax import gin_source
from flan_jax.errors import suggest
from flan_jax.gin_source import Binding, Location, Macro, Problem, Ref

ENTRY_POINTS = ("train_script.train", "eval_script.evaluate", "infer_script.infer")

Key = tuple[str, str, str]  # scope, complete selector, parameter
Node = tuple[tuple[str, ...], str]  # scopes in which a configurable is called, its selector

_MACRO = "%"  # Selector of all macros in a Key; the macro's name is its scope.
_HINTS = {
    "MODEL": "name a model file as well, e.g. --gin_file=models/t5_1_1/small.gin",
    "OPTIMIZER": "name a model file as well, e.g. --gin_file=models/t5_1_1/small.gin",
    "MODEL_DIR": "--model_dir=PATH",
}


def registry() -> dict[str, Any]:
    """Returns the registered configurables by complete selector, gin's own left out."""
    # gin has no public way to list its registry.
    entries = gin.config._REGISTRY.items()
    return {name: entry for name, entry in entries if not name.startswith("gin.")}


def parameters(configurable: Any) -> dict[str, inspect.Parameter]:
    """Returns the parameters gin may bind; a name with two stars stands for any."""
    try:
        found = inspect.signature(configurable.wrapped).parameters
    except (TypeError, ValueError):
        return {}
    named = dict(found)
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


def _quote(options: Sequence[str]) -> str:
    return ", ".join(repr(option) for option in options)


def _nearest_selector(name: str, names: Iterable[str]) -> str:
    """Like `suggest`, but `DatasetConfg` is also near `utils.DatasetConfig`."""
    names = list(names)
    last = name.rsplit(".", 1)[-1].casefold()

    def score(option: str) -> float:
        whole = difflib.SequenceMatcher(None, name.casefold(), option.casefold()).ratio()
        tail = option.rsplit(".", 1)[-1].casefold()
        return max(whole, difflib.SequenceMatcher(None, last, tail).ratio())

    best = sorted(names, key=lambda option: (-score(option), option))[:3]
    best = [option for option in best if score(option) >= 0.6]
    return f" Did you mean {' or '.join(map(repr, best))}?" if best else ""


class Checker:
    """Applies the rules to what was read and keeps what it learned for rendering.

    Attributes:
      problems: what is wrong, in reading order as far as it can be told.
      in_force: key -> the binding that counts.
      nodes: what the entry points reach; known after `run`.
      used: the bindings in force that are reached.
    """

    def __init__(self, source: gin_source.Source, entry: str, consulted: Iterable[str] = ()):
        """Takes what was read; `entry` and `consulted` are selectors, or macros such as '%MODEL'.

        Args:
          source: files and flags.
          entry: what the command calls; what it reaches must be complete.
          consulted: what code looks up in gin without any binding referring to it.
        """
        self.problems = list(source.problems)
        self._source = source
        self._entry = entry
        self._consulted = tuple(consulted)
        self._import(source.imports)
        self._registry = registry()
        self._history: dict[Key, list[Binding]] = collections.defaultdict(list)
        self._keys: dict[Binding, Key] = {}
        self.in_force: dict[Key, Binding] = {}
        self.nodes: list[Node] = []
        self.used: list[Binding] = []

    def run(self) -> None:
        """Looks at everything; mistakes in names make the later rules pointless, so they end it."""
        unread = bool(self.problems)
        for binding in self._source.bindings:
            self._name(binding)
        self._references(unread)
        self._shadowed()
        self.in_force = {key: history[-1] for key, history in self._history.items()}
        if self.problems:
            return
        alive = _alive(self.in_force)
        bound = {selector for _, selector, _ in self.in_force}
        entries = [each for each in ENTRY_POINTS if each in bound and each != self._entry]
        self.nodes, self.used = _reach(alive, self._roots([self._entry, *entries]), self._selector)
        self._unused()
        asked_nodes, asked = _reach(alive, self._roots([self._entry]), self._selector)
        self._required(asked)
        self._incomplete(asked_nodes, alive)

    def key(self, binding: Binding) -> Key:
        """Returns the key of a binding whose name is known."""
        return self._keys[binding]

    # ------------------------------------------------------------------ names

    def _import(self, imports: Iterable[tuple[str, Location]]) -> None:
        for module, where in imports:
            try:
                importlib.import_module(module)
            except ImportError as error:
                message = f"{module!r} cannot be imported: {error}"
                fix = "install it, or add its folder to PYTHONPATH"
                self.problems.append(Problem(where, message, fix))

    def _match(self, selector: str) -> list[str]:
        """Returns the complete selectors `selector` may stand for."""
        return gin.config._REGISTRY.matching_selectors(selector)

    def _selector(self, selector: str) -> str:
        return self._match(selector)[0]

    def _configurable(self, selector: str, where: Location, what: str) -> Any:
        """Returns the configurable named `selector`, or None after noting the mistake."""
        found = self._match(selector)
        if len(found) == 1:
            return gin.config._REGISTRY[found[0]]
        if found:
            fix = f"write one of {_quote(sorted(found))}"
            message = f"{what} {selector!r} is ambiguous."
        else:
            near = _nearest_selector(selector, self._registry)
            message = f"There is no configurable {selector!r}.{near}"
            fix = "correct the name, or import the module that registers it in the gin file"
        self.problems.append(Problem(where, message, fix))
        return None

    def _name(self, binding: Binding) -> None:
        """Checks the left side and files the binding under its key."""
        if not binding.arg:
            key = (binding.selector, _MACRO, "value")
        else:
            configurable = self._configurable(binding.selector, binding.location, "The name")
            if configurable is None:
                return
            named = parameters(configurable)
            open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in named.values())
            if binding.arg not in named and not open_ended:
                message = f"{configurable.selector} has no parameter {binding.arg!r}."
                near = suggest(binding.arg, named)
                fix = near and "correct the name" or f"its parameters are {_quote(list(named))}"
                self.problems.append(Problem(binding.location, message + near, fix))
                return
            key = (binding.scope, configurable.selector, binding.arg)
        self._keys[binding] = key
        self._history[key].append(binding)

    def _references(self, unread: bool) -> None:
        """Checks the right sides: configurables and macros must exist, macros must be read."""
        defined = {scope for scope, selector, _ in self._history if selector == _MACRO}
        named: dict[str, Location] = {}
        for binding in self._source.bindings:
            for leaf in gin_source.leaves(binding.value):
                if isinstance(leaf, Ref):
                    self._configurable(leaf.selector, binding.location, "The reference")
                elif isinstance(leaf, Macro):
                    named.setdefault(leaf.name, binding.location)
        if unread:  # A file is missing; what it defines and reads is not known.
            return
        roots = {each[1:] for each in (self._entry, *self._consulted) if each.startswith("%")}
        for name, where in named.items():
            if name not in defined and not gin.config._CONSTANTS.matching_selectors(name):
                near = suggest(name, defined)
                fix = _HINTS.get(name) or f"define it: --gin.{name}=VALUE"
                self.problems.append(Problem(where, f"The macro {name!r} is not defined.{near}", fix))
        for name in sorted(defined - set(named) - roots):
            near = suggest(name, named)
            fix = "correct the name, or remove the line"
            where = self._history[(name, _MACRO, "value")][-1].location
            self.problems.append(
                Problem(where, f"The macro {name!r} is never used by this configuration.{near}", fix)
            )

    def _shadowed(self) -> None:
        """Within one file nothing may be bound twice, nor be overridden by a later include."""
        for key, history in self._history.items():
            for earlier, later in zip(history, history[1:], strict=False):
                depth = len(earlier.sources)
                if later.sources[:depth] != earlier.sources:
                    continue
                name = _key_text(key)
                if later.sources == earlier.sources:
                    message = f"{name!r} is bound again at {later.location}: {later.location.text}"
                    fix = "remove one of the two lines"
                else:
                    message = f"{name!r} is overridden by an include below it, at {later.location}."
                    fix = "move the include above this line"
                self.problems.append(Problem(earlier.location, message, fix))

    # ------------------------------------------------------------ reachability

    def _roots(self, entries: Iterable[str]) -> list[Node]:
        roots: list[Node] = []
        for name in (*entries, *self._consulted):
            if name.startswith("%"):
                roots.append(((name[1:],), _MACRO))
            elif self._match(name):
                roots.append(((), self._selector(name)))
        return roots

    def _unused(self) -> None:
        """Notes bindings in force that nothing reaches.

        A binding that lost its reader to a later override is in order: a run that swaps the
        optimizer leaves the settings of the model file's own without effect. So a reader counts
        when it was not yet overridden where the binding stands.
        """
        used = set(self.used)
        bound = {selector for _, selector, _ in self.in_force}
        roots = self._roots([self._entry, *[each for each in ENTRY_POINTS if each in bound]])
        for key, binding in self.in_force.items():
            if binding in used:
                continue
            alive = _alive_for(self._history, binding.order)
            if binding in _reach(alive, roots, self._selector, hide_before=binding.order)[1]:
                continue
            name = _key_text(key)
            readers = self._readers(key)
            message = f"{name!r} is bound but nothing uses it: {readers}"
            self.problems.append(
                Problem(binding.location, message, "remove the line, or refer to it")
            )

    def _readers(self, key: Key) -> str:
        scope, selector, _ = key
        if selector == _MACRO:
            return f"what reads %{scope} is itself out of use."
        called = sorted({"/".join(scopes) for scopes, each in self.nodes if each == selector})
        if not called:
            return f"{selector} is not referred to from {self._entry}."
        scopes = " and ".join(f"scope {each!r}" if each else "no scope" for each in called)
        return f"{selector} is called in {scopes}, where another binding counts."

    def _required(self, asked: Iterable[Binding]) -> None:
        for binding in sorted(asked, key=lambda each: each.order):
            if not any(_is_required(leaf) for leaf in gin_source.leaves(binding.value)):
                continue
            key = self._keys[binding]
            name = _key_text(key)
            hint = _HINTS.get(name)
            fix = f"--gin.{name}=VALUE" + (f", or {hint}" if hint else "")
            message = f"{name} is required and not given."
            given = [
                each.location
                for each in self._history[key][:-1]
                if not any(_is_required(leaf) for leaf in gin_source.leaves(each.value))
            ]
            if given:
                message += f" The value at {given[-1]} is overridden by this line."
                fix = "name the file with the value after this one"
            self.problems.append(Problem(binding.location, message, fix))

    def _incomplete(self, nodes: Iterable[Node], alive: "_Alive") -> None:
        """Notes parameters that gin must supply and does not.

        A configurable that gin itself calls gets its arguments from bindings alone; any other may
        be called by code that passes them, so only a default of gin.REQUIRED counts there.
        """
        called_by_gin = self._called_by_gin(alive)
        seen: set[tuple[str, str]] = set()
        for scopes, selector in nodes:
            if selector == _MACRO:
                continue
            bound = _bound_args(alive, scopes, selector)
            for name, each in parameters(gin.config._REGISTRY[selector]).items():
                needed = each.default is gin.REQUIRED or (
                    each.default is inspect.Parameter.empty
                    and each.kind is not inspect.Parameter.VAR_KEYWORD
                    and selector in called_by_gin
                )
                if not needed or name in bound or (selector, name) in seen:
                    continue
                seen.add((selector, name))
                where = "/".join(scopes)
                place = f"{where}/" if where and (where, selector) in alive else ""
                message = f"{place}{selector}.{name} is required and not given."
                fix = f"add the line {place}{selector}.{name} = VALUE"
                if selector == self._entry:
                    fix = "name the file of a run, e.g. --gin_file=runs/finetune.gin, or " + fix
                self.problems.append(Problem(None, message, fix))

    def _called_by_gin(self, alive: "_Alive") -> set[str]:
        called = set()
        for args in alive.values():
            for bindings in args.values():
                for leaf in gin_source.leaves([each.value for each in bindings]):
                    if isinstance(leaf, Ref) and leaf.evaluate:
                        called.add(self._selector(leaf.selector))
        return called


# (scope, selector) -> parameter -> the bindings that may count, one unless overrides are followed.
_Alive = Mapping[tuple[str, str], Mapping[str, list[Binding]]]


def _key_text(key: Key) -> str:
    scope, selector, arg = key
    if selector == _MACRO:
        return scope
    return f"{scope}/{selector}.{arg}" if scope else f"{selector}.{arg}"


def _is_required(leaf: Any) -> bool:
    return isinstance(leaf, Macro) and leaf.name in (gin_source.REQUIRED, "REQUIRED")


def _alive(in_force: Mapping[Key, Binding]) -> _Alive:
    alive: dict[tuple[str, str], dict[str, list[Binding]]] = collections.defaultdict(dict)
    for (scope, selector, arg), binding in in_force.items():
        alive[(scope, selector)][arg] = [binding]
    return alive


def _alive_for(history: Mapping[Key, list[Binding]], order: int) -> _Alive:
    """Bindings not yet overridden at position `order`, and all that come later."""
    alive: dict[tuple[str, str], dict[str, list[Binding]]] = collections.defaultdict(dict)
    for (scope, selector, arg), bindings in history.items():
        kept = [
            each
            for each, after in zip(bindings, [*bindings[1:], None], strict=True)
            if after is None or after.order > order
        ]
        alive[(scope, selector)][arg] = kept
    return alive


def _bound_args(
    alive: _Alive, scopes: tuple[str, ...], selector: str, hide_before: int | None = None
) -> dict[str, list[Binding]]:
    """Returns parameter -> bindings for a call in `scopes`: an inner scope hides an outer one.

    With `hide_before`, an inner binding that stands later than that position hides nothing.
    """
    if selector == _MACRO:
        return dict(alive.get(("/".join(scopes), selector), {}))
    found: dict[str, list[Binding]] = {}
    for depth in range(len(scopes) + 1):
        for arg, bindings in alive.get(("/".join(scopes[:depth]), selector), {}).items():
            hides = hide_before is None or any(each.order < hide_before for each in bindings)
            found[arg] = bindings if hides else [*found.get(arg, []), *bindings]
    return found


def _reach(
    alive: _Alive, roots: Iterable[Node], complete: Any, hide_before: int | None = None
) -> tuple[list[Node], list[Binding]]:
    """Follows references from `roots` the way gin resolves them.

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
        for bindings in _bound_args(alive, scopes, selector, hide_before).values():
            for binding in bindings:
                used[binding] = None
                for leaf in gin_source.leaves(binding.value):
                    if isinstance(leaf, Ref):
                        waiting.append((leaf.scope or scopes, complete(leaf.selector)))
                    elif isinstance(leaf, Macro):
                        waiting.append(((leaf.name,), _MACRO))
    return list(nodes), list(used)


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A checked configuration as gin text.

    Attributes:
      bindings: what was given and is reached, one line each.
      effective: the same with the defaults of everything reached.
    """

    bindings: str
    effective: str


def render(checker: Checker) -> Rendered:
    """Writes macros, then parameters sorted by name; both texts parse again."""
    macros, given, defaults = {}, {}, {}
    for binding in checker.used:
        scope, selector, arg = key = checker.key(binding)
        target = macros if selector == _MACRO else given
        sort_key = ("", scope, "") if selector == _MACRO else (selector, scope, arg)
        target[sort_key] = f"{_key_text(key)} = {binding.value!r}"
    alive = _alive(checker.in_force)
    for scopes, selector in checker.nodes:
        if selector == _MACRO or selector.startswith("gin."):
            continue
        bound = _bound_args(alive, scopes, selector)
        for name, each in parameters(gin.config._REGISTRY[selector]).items():
            if name in bound or each.default in (inspect.Parameter.empty, gin.REQUIRED):
                continue
            if each.kind is inspect.Parameter.VAR_KEYWORD:
                continue
            if gin_source.is_literal(each.default):
                defaults[(selector, "", name)] = f"{selector}.{name} = {each.default!r}"
    plain = [macros[key] for key in sorted(macros)]
    lines = [*plain]
    block = None
    for key, line in sorted({**defaults, **given}.items()):
        if key[0] != block:
            block = key[0]
            lines += ["", f"# {block}"]
        lines.append(line)
    bindings = [*plain, *(given[key] for key in sorted(given))]
    return Rendered("\n".join(bindings) + "\n", "\n".join(lines).lstrip("\n") + "\n")
