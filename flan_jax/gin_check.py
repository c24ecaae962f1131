"""Rules a gin configuration must keep before anything is run with it.

What gin itself lets pass, or reports only when the value is first used, is a mistake here: an
unknown configurable, parameter or macro; a macro nobody reads; a binding no entry point reaches; a
key bound twice in one file; a REQUIRED value or a parameter without default that is not given.
"""

import collections
import difflib
import importlib
import inspect
from collections.abc import Iterable, Iterator

import gin

from flan_jax import gin_reach, gin_source, gin_trust, redaction
from flan_jax.errors import suggest
from flan_jax.gin_reach import MACRO, Alive, Key, Node, key_text
from flan_jax.gin_source import Binding, Location, Macro, Problem, Ref

ENTRY_POINTS = (
    "train_script.train",
    "eval_script.evaluate",
    "infer_script.infer",
    "scaling_script.scaling",
)

_MODEL_FILE = "name a model file as well, e.g. --gin_file=models/t5_1_1_small.gin"
_HINTS = {"MODEL": _MODEL_FILE, "OPTIMIZER": _MODEL_FILE, "MODEL_DIR": "--model_dir=PATH"}


class Checker:
    """Applies the rules to what was read and keeps what it learned.

    Attributes:
      problems: what is wrong.
      alive: the bindings that count, as `gin_reach` takes them.
      nodes: what the entry points reach; known after `run`.
      used: key -> binding of what counts and is reached.
    """

    def __init__(
        self,
        source: gin_source.Source,
        entry: str,
        consulted: Iterable[str],
        permit: gin_trust.Permit,
    ):
        """Takes what was read.

        Args:
          source: files and flags.
          entry: what the command calls, a selector or a macro such as '%MODEL'. What it reaches
            must be complete.
          consulted: selectors or macros that code looks up without a reference to them in gin.
          permit: what modules files may name.
        """
        self.problems = list(source.problems)
        self.alive: Alive = {}
        self.nodes: list[Node] = []
        self.used: dict[Key, Binding] = {}
        self._source = source
        self._entry = entry
        self._consulted = tuple(consulted)
        self._permit = permit
        self._history: dict[Key, list[Binding]] = collections.defaultdict(list)

    def run(self) -> None:
        """Looks at everything; with a mistake in a name the later rules are pointless."""
        if not self._import():
            return
        all_read = not self.problems
        for binding in self._source.bindings:
            self._left_side(binding)
            self._credentials(binding)
        self._right_sides(all_read)
        self._shadowed()
        if self.problems:
            return
        self.alive = gin_reach.in_force(self._history)
        self.nodes, used = gin_reach.reach(self.alive, self._roots(bound_entry_points=True))
        self.used = {
            key: bindings[-1]
            for key, bindings in self._history.items()
            if bindings[-1] in set(used)
        }
        self._unused()
        asked = gin_reach.reach(self.alive, self._roots(bound_entry_points=False))
        self._modules(asked[1])
        self._required(asked[1])
        self._incomplete(asked[0])

    def _note(self, where: Location | None, message: str, fix: str) -> None:
        self.problems.append(Problem(where, message, fix))

    def _import(self) -> bool:
        """Imports what files ask for; False where they may not, so that names stay unknown."""
        refused = False
        for module, where in self._source.imports:
            if not self._permit.allows(module):
                self.problems.append(self._permit.problem(module, where))
                refused = True
                continue
            try:
                importlib.import_module(module)
            except ImportError as error:
                fix = "install it, or add its folder to PYTHONPATH"
                self._note(where, f"{module!r} cannot be imported: {error}", fix)
        return not refused

    # ------------------------------------------------------------------ names

    def _selector(self, written: str, where: Location) -> str | None:
        """Returns the complete selector of `written`, or None after noting the mistake."""
        found = gin_reach.matching(written)
        if len(found) == 1:
            return found[0]
        if found:
            options = " or ".join(map(repr, sorted(found)))
            self._note(where, f"{written!r} may be several configurables.", f"write {options}")
            return None
        near = _nearest_selector(written, gin_reach.registry())
        fix = "correct the name, or import the module that registers it in the gin file"
        self._note(where, f"There is no configurable {written!r}.{near}", fix)
        return None

    def _left_side(self, binding: Binding) -> None:
        """Checks the key and files the binding under it."""
        if not binding.arg:
            self._history[(binding.selector, MACRO, "value")].append(binding)
            return
        selector = self._selector(binding.selector, binding.location)
        if selector is None:
            return
        named = gin_reach.parameters(selector)
        open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in named.values())
        if binding.arg in named or open_ended:
            self._history[(binding.scope, selector, binding.arg)].append(binding)
            return
        near = suggest(binding.arg, named)
        fix = "correct the name" if near else f"its parameters are {', '.join(named) or 'none'}"
        self._note(binding.location, f"{selector} has no parameter {binding.arg!r}.{near}", fix)

    def _credentials(self, binding: Binding) -> None:
        """Notes credentials: what is bound is kept, with every checkpoint, and shown in reports."""
        for text in gin_trust.texts(binding):
            if what := redaction.credential_in(text):
                message = f"{binding.written_key!r} holds {what}, which would be kept in files."
                fix = "leave it to the environment or to the cloud's own login"
                self._note(binding.location, message, fix)

    def _right_sides(self, all_read: bool) -> None:
        """References must exist, macros must be defined, and defined macros must be read."""
        defined = {scope for scope, selector, _ in self._history if selector == MACRO}
        named: dict[str, Location] = {}
        for binding in self._source.bindings:
            for leaf in gin_source.leaves(binding.value):
                if isinstance(leaf, Ref):
                    self._selector(leaf.selector, binding.location)
                elif isinstance(leaf, Macro):
                    named.setdefault(leaf.name, binding.location)
        if not all_read:  # A file is missing; what it defines and reads is not known.
            return
        for name, where in named.items():
            if name not in defined and not gin_reach.constants(name):
                near = suggest(name, defined)
                fix = _HINTS.get(name) or f"define it, e.g. --gin.{name}=VALUE"
                self._note(where, f"The macro {name!r} is not defined.{near}", fix)
        roots = {each[1:] for each in (self._entry, *self._consulted) if each.startswith("%")}
        for name in sorted(defined - set(named) - roots):
            near = suggest(name, named)
            where = self._history[(name, MACRO, "value")][-1].location
            message = f"The macro {name!r} is never used by this configuration.{near}"
            self._note(where, message, "correct the name, or remove the line")

    def _shadowed(self) -> None:
        """Within one file nothing may be bound twice, nor be overridden by a later include."""
        for key, history in self._history.items():
            for earlier, later in zip(history, history[1:], strict=False):
                if later.sources[: len(earlier.sources)] != earlier.sources:
                    continue
                if later.sources == earlier.sources:
                    message = f"is bound again at {later.location}: {later.location.text}"
                    fix = "remove one of the two lines"
                else:
                    message = f"is overridden by an include below it, at {later.location}."
                    fix = "move the include above this line"
                self._note(earlier.location, f"{key_text(key)!r} {message}", fix)

    # ------------------------------------------------------------ reachability

    def _roots(self, bound_entry_points: bool) -> list[Node]:
        """The entry, what code consults if it is bound, and the other entry points on demand."""
        bound = {scope if selector == MACRO else selector for scope, selector, _ in self._history}
        others = [*self._consulted, *(ENTRY_POINTS if bound_entry_points else ())]
        names = [self._entry, *(each for each in others if each.lstrip("%") in bound)]
        return [
            ((name[1:],), MACRO) if name.startswith("%") else ((), name)
            for name in dict.fromkeys(names)
        ]

    def _unused(self) -> None:
        """Notes bindings in force that nothing reaches.

        A binding that lost its reader to a later override is in order: a run that swaps the
        optimizer leaves the settings of the model file's own without effect. So a reader counts
        when it was not yet overridden where the binding stands.
        """
        roots = self._roots(bound_entry_points=True)
        for key, bindings in self._history.items():
            binding = bindings[-1]
            if key in self.used:
                continue
            alive = gin_reach.in_force_after(self._history, binding.order)
            if binding in gin_reach.reach(alive, roots, hide_before=binding.order)[1]:
                continue
            message = f"{key_text(key)!r} is bound but nothing uses it: {self._why_unused(key)}"
            self._note(binding.location, message, "remove the line, or refer to it")

    def _why_unused(self, key: Key) -> str:
        scope, selector, _ = key
        if selector == MACRO:
            return f"what reads %{scope} is itself out of use."
        called = sorted({"/".join(scopes) for scopes, each in self.nodes if each == selector})
        if not called:
            return f"{selector} is not referred to from {self._entry}."
        scopes = " and ".join(f"scope {each!r}" if each else "no scope" for each in called)
        near = suggest(scope, called) if scope and scope not in called else ""
        return f"{selector} is called in {scopes}, where this binding does not count.{near}"

    def _modules(self, asked: Iterable[Binding]) -> None:
        """Notes modules that would be imported because a file says so, and may not be.

        What is looked up later, or comes out of a call, `gin_trust.check` sees.
        """
        reached = set(asked)
        parameters = {*gin_trust.PARAMETERS, (MACRO, gin_trust.MACRO)}
        for (scope, selector, arg), history in self._history.items():
            key = (selector, scope if selector == MACRO else arg)
            if history[-1] not in reached or key not in parameters:
                continue
            for text, where in self._texts(history[-1], frozenset()):
                if not (self._permit.is_own(where) or self._permit.allows(text)):
                    self.problems.append(self._permit.problem(text, where))

    def _texts(self, binding: Binding, within: frozenset[str]) -> Iterator[tuple[str, Location]]:
        """Yields the texts of a value, macros followed, each with its place."""
        for leaf in gin_source.leaves(binding.value):
            if isinstance(leaf, str) and leaf:
                yield leaf, binding.location
            elif isinstance(leaf, Macro) and leaf.name not in within:
                for each in self._history.get((leaf.name, MACRO, "value"), [])[-1:]:
                    yield from self._texts(each, within | {leaf.name})

    def _required(self, asked: Iterable[Binding]) -> None:
        """Notes %gin.REQUIRED values that nothing overrides."""
        reached = set(asked)
        for key, history in self._history.items():
            binding = history[-1]
            if binding not in reached or not gin_reach.is_required(binding.value):
                continue
            name = key_text(key)
            hint = f", or {_HINTS[name]}" if name in _HINTS else ""
            message, fix = f"{name} is required and not given.", f"--gin.{name}=VALUE{hint}"
            given = [each for each in history[:-1] if not gin_reach.is_required(each.value)]
            if given:
                message += f" The value at {given[-1].location} is overridden by this line."
                fix = "read the file with the value after this one"
            self._note(binding.location, message, fix)

    def _incomplete(self, nodes: Iterable[Node]) -> None:
        """Notes parameters that gin must supply and does not.

        A configurable that gin itself calls gets its arguments from bindings alone; any other may
        be called by code that passes them, so only a default of gin.REQUIRED counts there.
        """
        by_gin = {
            gin_reach.complete(leaf.selector)
            for binding in self.used.values()
            for leaf in gin_source.leaves(binding.value)
            if isinstance(leaf, Ref) and leaf.evaluate
        }
        noted: set[tuple[str, str]] = set()
        for scopes, selector in nodes:
            if selector == MACRO:
                continue
            bound = gin_reach.bound_args(self.alive, scopes, selector)
            scope = "/".join(scopes)
            prefix = f"{scope}/" if (scope, selector) in self.alive and scope else ""
            for name, each in gin_reach.parameters(selector).items():
                bare = each.default is inspect.Parameter.empty and selector in by_gin
                needed = bare and each.kind is not inspect.Parameter.VAR_KEYWORD
                if not (needed or each.default is gin.REQUIRED) or name in bound:
                    continue
                if (selector, name) in noted:
                    continue
                noted.add((selector, name))
                key = f"{prefix}{selector}.{name}"
                fix = f"add the line {key} = VALUE"
                if selector == self._entry:
                    fix = f"name the file of a run, e.g. --gin_file=runs/finetune.gin, or {fix}"
                self._note(None, f"{key} is required and not given.", fix)


def _nearest_selector(name: str, names: Iterable[str]) -> str:
    """Like `suggest`, but `DatasetConfg` is also near `utils.DatasetConfig`."""
    last = name.rsplit(".", 1)[-1].casefold()

    def score(option: str) -> float:
        whole = difflib.SequenceMatcher(None, name.casefold(), option.casefold()).ratio()
        tail = option.rsplit(".", 1)[-1].casefold()
        return max(whole, difflib.SequenceMatcher(None, last, tail).ratio())

    best = sorted(names, key=lambda option: (-score(option), option))[:3]
    best = [repr(option) for option in best if score(option) >= 0.6]
    return f" Did you mean {' or '.join(best)}?" if best else ""
