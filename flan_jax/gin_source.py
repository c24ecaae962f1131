"""Reads gin files and flags into a list of bindings, each with its place, and nothing else.

gin's own parser does the reading. What it finds is kept as data, so that `gin_check` can look at a
whole configuration before any of it takes effect.
"""

import dataclasses
import io
import os
import pathlib
import re
import tokenize
from collections.abc import Iterator, Sequence
from typing import Any

from etils import epath
from gin import config_parser

from flan_jax.errors import ConfigError, nearest

# Beside the package in a checkout, inside it once installed (see setup.py).
_PACKAGE = pathlib.Path(__file__).resolve().parent
BUILTIN_SEARCH_PATHS = tuple(
    str(path)
    for path in (_PACKAGE.parent / "gin_configs", _PACKAGE / "gin_configs")
    if path.is_dir()
)

REQUIRED = "gin.REQUIRED"
_FLAG = "--gin."
# What T5X files import to fill gin's registry; here every name is registered from the start.
_NEEDLESS_IMPORTS = ("__gin__", "__main__", "t5x", "seqio", "flan_jax")


@dataclasses.dataclass(frozen=True)
class Ref:
    """`@scope/name` or, with `evaluate`, `@scope/name()`."""

    scoped_name: str
    evaluate: bool

    @property
    def scope(self) -> tuple[str, ...]:
        """The scopes before the name, outermost first."""
        return tuple(self.scoped_name.split("/")[:-1])

    @property
    def selector(self) -> str:
        """The name of the configurable as it was written."""
        return self.scoped_name.rsplit("/", 1)[-1]

    def __repr__(self) -> str:
        return f"@{self.scoped_name}{'()' if self.evaluate else ''}"


@dataclasses.dataclass(frozen=True)
class Macro:
    """`%NAME`."""

    name: str

    def __repr__(self) -> str:
        return f"%{self.name}"


@dataclasses.dataclass(frozen=True)
class Location:
    """Where a statement stands; a flag has no line."""

    file: str
    line: int = 0
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else f"flag {self.file}"


@dataclasses.dataclass(frozen=True)
class Problem:
    """One mistake: where it is, what is wrong, what to do about it."""

    location: Location | None
    message: str
    fix: str = ""

    def __str__(self) -> str:
        lines = []
        if self.location is not None:
            shown = f"{self.location}"
            lines.append(f"{shown}: {self.location.text}" if self.location.line else shown)
        lines.append(f"  {self.message}")
        if self.fix:
            lines.append(f"  Fix: {self.fix}")
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True, eq=False)
class Binding:
    """One assignment. A macro has an empty `arg` and its name in `selector`, scope included.

    Attributes:
      scope: the scopes of the key, joined by slashes.
      selector: the configurable as it was written.
      arg: the parameter.
      value: literals, containers, `Ref` and `Macro`.
      location: where it stands.
      order: position in the order of reading; of two with the same key the later one is in force.
      sources: ids of the files being read, the outermost first and the binding's own last.
    """

    scope: str
    selector: str
    arg: str
    value: Any
    location: Location
    order: int
    sources: tuple[int, ...]

    @property
    def written_key(self) -> str:
        """The left side of the assignment."""
        scope = f"{self.scope}/" if self.scope else ""
        return f"{scope}{self.selector}{'.' if self.arg else ''}{self.arg}"


@dataclasses.dataclass
class Source:
    """All that was read: bindings in order, imports, and what could not be read."""

    bindings: list[Binding] = dataclasses.field(default_factory=list)
    imports: list[tuple[str, Location]] = dataclasses.field(default_factory=list)
    problems: list[Problem] = dataclasses.field(default_factory=list)


class _Delegate(config_parser.ParserDelegate):
    """Keeps references and macros as data."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Ref:
        return Ref(scoped_configurable_name, evaluate)

    def macro(self, macro_name: str) -> Macro:
        return Macro(macro_name)


def leaves(value: Any) -> Iterator[Any]:
    """Yields what is inside `value`, going into lists, tuples and dicts (keys and values)."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(key)
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def parse_value(text: str) -> Any:
    """Returns the value written in `text`; raises SyntaxError or ValueError if there is none."""
    (binding,) = _read_text(f"X = {text}", Location("value"))
    return binding.value


def is_literal(value: Any) -> bool:
    """Whether `repr(value)` in a gin file gives `value` back."""
    try:
        again = parse_value(repr(value))
    except (SyntaxError, ValueError, tokenize.TokenError):
        return False
    return type(again) is type(value) and again == value


def read(
    gin_files: Sequence[str],
    gin_bindings: Sequence[str] = (),
    search_paths: Sequence[str] = (),
) -> Source:
    """Reads files, what they include, then bindings given as flags, in T5X's order.

    Args:
      gin_files: names, looked for in `search_paths`, the working directory and our `gin_configs`.
      gin_bindings: assignments such as `"BATCH_SIZE = 8"`.
      search_paths: folders, the first one with the file wins.

    Returns:
      What was read; `problems` lists missing files and lines that are not gin.
    """
    reader = _Reader(search_paths)
    for name in gin_files:
        reader.file(name, asked_at=None, chain=())
    for text in gin_bindings:
        reader.flag(text)
    return reader.source


def read_text(text: str, name: str = "config.gin") -> list[Binding]:
    """Reads the assignments of one text; imports and includes are passed over.

    Raises:
      ConfigError: the text is not gin.
    """
    try:
        statements = list(_read_text(text, Location(name)))
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        raise ConfigError(str(_syntax_problem(error, name))) from error
    assignments = [each for each in statements if isinstance(each, _Assignment)]
    return [_binding(each, order, (0,)) for order, each in enumerate(assignments)]


@dataclasses.dataclass(frozen=True)
class _Assignment:
    scope: str
    selector: str
    arg: str
    value: Any
    location: Location


def _read_text(text: str, where: Location) -> Iterator[Any]:
    """Yields the assignments, includes and imports of `text` in gin parser's order."""
    stream = io.StringIO(text)
    stream.name = where.file  # type: ignore[attr-defined]  # The parser takes it from there.
    for statement in config_parser.ConfigParser(stream, _Delegate()):
        if isinstance(statement, config_parser.BindingStatement):
            scope, selector, arg = statement.scope, statement.selector, statement.arg_name
            yield _Assignment(scope, selector, arg, statement.value, _location(statement))
        elif not isinstance(statement, config_parser.BlockDeclaration):
            yield statement


def _location(statement: Any) -> Location:
    place = statement.location
    return Location(place.filename, place.line_num, place.line_content.strip())


def _is_absolute(name: str) -> bool:
    return os.path.isabs(name) or "://" in name


def _shown(path: str) -> str:
    """The path as messages give it: relative where it lies below the working directory."""
    if "://" in path:
        return path
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative


def _binding(each: _Assignment, order: int, sources: tuple[int, ...]) -> Binding:
    scope, selector = each.scope, each.selector
    if not each.arg and scope:
        scope, selector = "", f"{scope}/{selector}"
    return Binding(scope, selector, each.arg, each.value, each.location, order, sources)


def _syntax_problem(error: Exception, file: str) -> Problem:
    """Turns what the parser or the tokenizer raised into a problem with its line."""
    line, text = 0, ""
    arguments: Sequence[Any] = error.args or ("",)
    whole = str(arguments[0])
    if isinstance(error, SyntaxError):
        line, text = error.lineno or 0, (error.text or "").strip()
    elif isinstance(error, tokenize.TokenError) and len(arguments) > 1:
        line = arguments[1][0]
    message = whole.partition("\n")[0].strip()
    token = re.search(r"Failed to parse token '([^']*)'", whole)
    fix = ""
    if token:
        message = f"{token.group(1)!r} is not a gin value: text needs quotes."
        fix = f"write '{token.group(1)}', @name() for a configurable or %NAME for a macro"
    elif "Unable to parse value" in message:
        message = "The value is not a Python literal, an @reference or a %MACRO."
        fix = "put quotes around text"
    else:
        message = f"This is not gin: {message}"
    return Problem(Location(file, line or 1, text), message, fix)


class _Reader:
    """Reads files and flags, following includes."""

    def __init__(self, search_paths: Sequence[str]):
        self.source = Source()
        self._search_paths = [*search_paths, "", *BUILTIN_SEARCH_PATHS]
        self._num_files = 0

    def file(
        self,
        name: str,
        asked_at: Location | None,
        chain: tuple[str, ...],
        sources: tuple[int, ...] = (),
    ) -> None:
        """Reads the file `name`, which `asked_at` includes; `chain` are the files being read."""
        if asked_at is not None and self._is_elsewhere(name, chain):
            message = f"{name!r} would be fetched from elsewhere because a gin file says so."
            fix = f"copy it here, or add {os.path.dirname(name)} with --gin_search_paths"
            self.source.problems.append(Problem(asked_at, message, fix))
            return
        path = self._find(name, os.path.dirname(chain[-1]) if chain else None)
        if path is None:
            self.source.problems.append(self._missing(name, asked_at))
            return
        if path in chain:
            around = " -> ".join([*chain[chain.index(path) :], path])
            self.source.problems.append(
                Problem(asked_at, f"{name!r} includes itself: {around}", "remove this include")
            )
            return
        sources = (*sources, self._num_files)
        self._num_files += 1
        try:
            text = epath.Path(path).read_text()
            for statement in _read_text(text, Location(_shown(path))):
                if isinstance(statement, config_parser.IncludeStatement):
                    where = _location(statement)
                    self.file(statement.filename, where, (*chain, path), sources)
                elif isinstance(statement, config_parser.ImportStatement):
                    self._import(statement)
                else:
                    self._add(statement, sources)
        except RecursionError:
            message = f"{_shown(path)} is nested too deeply, in a value or by includes."
            self.source.problems.append(Problem(asked_at, message, "flatten it"))
        except (SyntaxError, ValueError, tokenize.TokenError) as error:
            self.source.problems.append(_syntax_problem(error, _shown(path)))
        except OSError as error:
            self.source.problems.append(
                Problem(asked_at, f"{path!r} cannot be read: {error.strerror}")
            )

    def flag(self, text: str) -> None:
        """Reads one assignment that was given as a flag."""
        name, equals, value = (part.strip() for part in text.partition("="))
        where = Location(f"{_FLAG}{name}={value}")
        sources = (self._num_files,)
        self._num_files += 1
        if not equals or not value:
            fix = f"{_FLAG}{name}=VALUE"
            self.source.problems.append(Problem(where, f"{name!r} is given no value.", fix))
            return
        try:
            statements = list(_read_text(f"{name} = {value}", where))
        except (SyntaxError, ValueError, tokenize.TokenError):
            self.source.problems.append(_flag_problem(name, value, where))
            return
        for statement in statements:
            if not isinstance(statement, _Assignment):
                self.source.problems.append(Problem(where, "A flag must be NAME=VALUE."))
                continue
            self._add(dataclasses.replace(statement, location=where), sources)

    def _add(self, statement: _Assignment, sources: tuple[int, ...]) -> None:
        order = len(self.source.bindings)
        self.source.bindings.append(_binding(statement, order, sources))

    def _import(self, statement: config_parser.ImportStatement) -> None:
        where = _location(statement)
        if statement.module.split(".")[0] in _NEEDLESS_IMPORTS:
            message = "T5X's names are registered already, so this import has nothing to do."
            self.source.problems.append(Problem(where, message, "remove this line"))
        else:
            self.source.imports.append((statement.module, where))

    def _is_elsewhere(self, name: str, chain: tuple[str, ...]) -> bool:
        """Whether an include is a URL outside the folders that the user has named."""
        known = [*self._search_paths, os.path.dirname(chain[0])]
        folders = tuple(f"{folder.rstrip('/')}/" for folder in known if "://" in folder)
        return "://" in name and (not name.startswith(folders) or "/../" in name)

    def _candidates(self, name: str, beside: str | None) -> list[str]:
        if _is_absolute(name):
            return [name]
        folders = [*self._search_paths, *([] if beside is None else [beside])]
        joined = [os.path.join(folder, name) for folder in folders]
        # Of a URL, it would join the slashes behind the scheme.
        return [path if "://" in path else os.path.normpath(path) for path in joined]

    def _find(self, name: str, beside: str | None) -> str | None:
        candidates = self._candidates(name, beside)
        found = (path for path in candidates if epath.Path(path).is_file())
        return next(found, None)

    def _missing(self, name: str, asked_at: Location | None) -> Problem:
        known = {}
        for folder in self._search_paths:
            # The working directory may be large, so only its own files are offered.
            pattern = "**/*.gin" if folder else "*.gin"
            for path in pathlib.Path(folder or ".").glob(pattern):
                known[os.path.relpath(path, folder or ".")] = path
        same_name = sorted(
            each for each in known if os.path.basename(each) == os.path.basename(name)
        )
        options = same_name[:3] or nearest(name, known)
        tried = ", ".join(repr(folder or os.getcwd()) for folder in self._search_paths)
        if _is_absolute(name):
            tried = repr(os.path.dirname(name))
        fix = f"name one of {', '.join(options)}" if options else "check the name"
        message = f"There is no gin file {name!r}. Looked in: {tried}."
        return Problem(asked_at, message, f"{fix}, or add its folder with --gin_search_paths")


def _flag_problem(name: str, value: str, where: Location) -> Problem:
    if value[0] in "'\"[({@%":
        message = "The value is not a Python literal, an @reference or a %MACRO."
        return Problem(where, message, "check brackets and quotes; the shell may have eaten some")
    message = f"{value!r} is not a gin value: text needs quotes, also after the shell took its own."
    quoted = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return Problem(where, message, f'{_FLAG}{name}="{quoted}"')
