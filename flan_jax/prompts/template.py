"""Instruction templates in plain text, compiled once to string joins.

A pattern is ordinary text with `{field}` where a field of the example goes; `{{` and `}}` stand for
literal braces. The same pattern renders in Python and inside a TensorFlow graph, byte for byte.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flan_jax.errors import ConfigError, NotFoundError, suggest
from flan_jax.prompts.row_step import RowStep

_FIELD_NAME = re.compile(r"[A-Za-z_]\w*\Z")


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A parsed pattern: `literals[0] + fields[0] + literals[1] + ... + literals[-1]`."""

    literals: tuple[str, ...]
    fields: tuple[str, ...]

    def render(self, example: Mapping[str, Any]) -> str:
        """Returns the text with the fields of `example` put in.

        >>> parse_pattern("Q: {question} {{1}}").render({"question": "Why?"})
        'Q: Why? {1}'
        """
        parts = [self.literals[0]]
        for field, literal in zip(self.fields, self.literals[1:], strict=True):
            parts += (_text(example, field), literal)
        return "".join(parts)


def parse_pattern(pattern: str, where: str = "pattern") -> Pattern:
    """Splits a pattern into literals and field names.

    Args:
      pattern: text with `{field}` places; doubled braces are literal ones.
      where: how error messages call this pattern.

    Raises:
      ConfigError: a brace is unbalanced or a field name is not an identifier; the message gives the
        position, counted from 1.
    """
    literals, fields, literal = [], [], []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char not in "{}":
            literal.append(char)
            at += 1
        elif pattern[at : at + 2] == char * 2:
            literal.append(char)
            at += 2
        elif char == "}":
            raise _brace_error(pattern, at, where, "'}' without an opening '{'")
        else:
            end = pattern.find("}", at)
            name = pattern[at + 1 : end]
            if end < 0 or "{" in name:
                raise _brace_error(pattern, at, where, "'{' that is never closed")
            if not _FIELD_NAME.match(name):
                raise _brace_error(pattern, at, where, f"{name!r}, which is not a field name")
            literals.append("".join(literal))
            fields.append(name)
            literal = []
            at = end + 1
    literals.append("".join(literal))
    return Pattern(tuple(literals), tuple(fields))


def _brace_error(pattern: str, at: int, where: str, what: str) -> ConfigError:
    excerpt = pattern[max(0, at - 12) : at + 18]
    return ConfigError(
        f"{where} has {what} at character {at + 1} of {len(pattern)}, near {excerpt!r}. "
        "Write {name} for a field and double the brace ({{ or }}) for a literal one."
    )


def _text(example: Mapping[str, Any], field: str) -> str:
    """Returns one field as text: str as it is, bytes as UTF-8, int in decimal."""
    if field not in example:
        raise NotFoundError(
            f"The example has no field {field!r}; it has {sorted(example)}."
            + suggest(field, example)
        )
    value = example[field]
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise ConfigError(
        f"Field {field!r} holds {type(value).__name__}; a template takes text or whole numbers. "
        "Turn it into text in an earlier step, so that every path writes it the same way."
    )


@dataclasses.dataclass(frozen=True)
class Template:
    """One way of phrasing a task: an input pattern and a target pattern.

    A field of the target pattern may not stand in the input pattern, because the answer would leak.
    A template that inverts the task on purpose names such fields in `inverts`.

    >>> Template("Q: {question}", "{answer}").render({"question": "1+1?", "answer": "2"})
    {'inputs': 'Q: 1+1?', 'targets': '2'}
    """

    inputs: str
    targets: str
    name: str = "template"
    inverts: tuple[str, ...] = ()
    input_pattern: Pattern = dataclasses.field(init=False, repr=False, compare=False)
    target_pattern: Pattern = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self):
        where = f"Template {self.name!r}: the input pattern"
        object.__setattr__(self, "input_pattern", parse_pattern(self.inputs, where))
        where = f"Template {self.name!r}: the target pattern"
        object.__setattr__(self, "target_pattern", parse_pattern(self.targets, where))
        if not self.target_pattern.fields:
            raise ConfigError(
                f"Template {self.name!r}: the target pattern {self.targets!r} names no field, so "
                "every example would have the same target. Put at least one {field} in it."
            )
        self.check_leak(self.target_pattern.fields)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields either pattern needs, in order of first use."""
        return tuple(dict.fromkeys(self.input_pattern.fields + self.target_pattern.fields))

    def check_leak(self, target_fields: Iterable[str]) -> None:
        """Raises ConfigError when the input shows one of `target_fields` not in `inverts`."""
        shown = set(self.input_pattern.fields)
        leaked = [f for f in target_fields if f in shown and f not in self.inverts]
        if leaked:
            raise ConfigError(
                f"Template {self.name!r} shows the target field {leaked[0]!r} in its input "
                f"{self.inputs!r}. Remove it there, or say inverts=({leaked[0]!r},) if the "
                "template turns the task round on purpose."
            )

    def check_fields(self, fields: Iterable[str]) -> None:
        """Raises NotFoundError naming the nearest of `fields` when the template needs another."""
        known = list(fields)
        for field in self.fields:
            if field not in known:
                raise NotFoundError(
                    f"Template {self.name!r} needs the field {field!r}; the data has {known}."
                    + suggest(field, known)
                )

    def render(self, example: Mapping[str, Any]) -> dict[str, str]:
        """Returns {'inputs': str, 'targets': str} for one example."""
        return {
            "inputs": self.input_pattern.render(example),
            "targets": self.target_pattern.render(example),
        }

    def as_preprocessor(self) -> RowStep:
        """Returns a seqio preprocessor: tf.data.Dataset in, the same with inputs and targets out.

        In {'question': '1+1?', 'answer': '2'}, out the same plus {'inputs': 'Q: 1+1?',
        'targets': '2'}, all scalar strings. Other features pass through.
        """

        @functools.cache
        def compiled():
            from flan_jax.prompts import graph

            return graph.compile_templates([self])

        def render(rows):
            import tensorflow as tf

            from flan_jax.prompts import graph

            which_B = tf.zeros(graph.num_rows(rows), tf.int64)
            inputs, targets = compiled()
            return {**rows, "inputs": inputs(rows, which_B), "targets": targets(rows, which_B)}

        return with_templates(RowStep(render), [self])


def with_templates(preprocess: Any, templates: Sequence[Template], shots: int = 0) -> Any:
    """Returns the preprocessor, which now says what it renders.

    `flan-jax inspect` shows `preprocess.templates`, in the order of 'template_id', and takes
    `preprocess.shots` for the most solved examples in front. A preprocessor of yours may carry the
    two as well; nothing else depends on them.
    """
    preprocess.templates = tuple(templates)
    preprocess.shots = shots
    return preprocess
