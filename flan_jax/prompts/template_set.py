"""Several templates for one task, and the choice among them."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from flan_jax.errors import ConfigError
from flan_jax.prompts import choice as choices
from flan_jax.prompts.row_step import RowStep
from flan_jax.prompts.template import Template, with_templates

Choice = Literal["hash", "rotate"]

_MADE = ("inputs", "targets", "template_id")


class TemplateSet:
    """Checked templates of one task; each example gets one of them.

    Args:
      name: how messages call the set.
      templates: at least one.
      fields: the fields the data has; every template is checked against them.
      target_fields: fields that are the answer. No template may show one in its input unless its
        `inverts` names it.
      choice: 'hash' draws by (seed, example index); 'rotate' takes (index + seed) modulo the number
        of templates, so that consecutive indices see every template in turn.
      seed: see `choice`.

    Raises:
      ConfigError: no template, two of the same text, an unknown choice, or a leaked target.
      NotFoundError: a template needs a field the data does not have.
    """

    def __init__(
        self,
        name: str,
        templates: Iterable[Template],
        *,
        fields: Sequence[str],
        target_fields: Sequence[str] = (),
        choice: Choice = "hash",
        seed: int = 0,
    ):
        self.name = name
        self.templates = tuple(templates)
        self.choice = choice
        self.seed = seed
        if choice not in ("hash", "rotate"):
            raise ConfigError(
                f"Template set {name!r}: choice={choice!r} is not 'hash' or 'rotate'."
            )
        if not self.templates:
            raise ConfigError(f"Template set {name!r} has no templates.")
        seen: dict[tuple[str, str], Template] = {}
        for template in self.templates:
            template.check_fields(fields)
            template.check_leak(target_fields)
            twin = seen.setdefault((template.inputs, template.targets), template)
            if twin is not template:
                raise ConfigError(
                    f"Template set {name!r}: {template.name!r} repeats {twin.name!r} word for word."
                )

    def __len__(self) -> int:
        return len(self.templates)

    def choose(self, index: int) -> int:
        """Returns the template id in [0, len(self)) of the example with this 64-bit index."""
        if self.choice == "rotate":
            return (index + self.seed + choices.current_rendering()) % len(self.templates)
        return choices.choose(self.seed, index, len(self.templates))

    def choose_in_graph(self, index: Any) -> Any:
        """The same for an integer tensor; returns an int64 tensor of its shape."""
        import tensorflow as tf

        from flan_jax.prompts import graph

        count = len(self)
        if self.choice == "rotate":
            # Reduced first: index + seed may not fit into 64 bits.
            row = tf.math.floormod(tf.cast(index, tf.int64), count)
            step = (self.seed + choices.current_rendering()) % count
            return tf.math.floormod(row + step, count)
        return graph.choose(self.seed, index, count)

    def render(self, example: Mapping[str, Any], index: int) -> dict[str, Any]:
        """Renders one example in Python.

        In {'question': 'Is ice cold?', 'answer': 'yes'} and an index, out for instance
        {'inputs': 'Is ice cold? Say yes or no.', 'targets': 'yes', 'template_id': 3}.
        """
        which = self.choose(index)
        return {**self.templates[which].render(example), "template_id": which}

    def as_preprocessor(self, index_field: str | None = "index") -> Callable[[Any], Any]:
        """Returns a seqio preprocessor that renders each example with its template.

        In {'question': 'Is ice cold?', 'answer': 'yes', 'index': 7}, out the same features plus
        scalar strings 'inputs' and 'targets' and a scalar int32 'template_id', equal to
        `render(example, 7)`.

        Args:
          index_field: integer feature that identifies the example. None numbers the examples as
            they come, which is stable only when nothing before this step shuffles or shards.
        """
        if index_field is not None:

            def render(rows):
                self._check_index(rows, index_field)
                return self._render_rows(rows, rows[index_field])

            return with_templates(RowStep(render), self.templates)

        def preprocess(dataset):
            from flan_jax.prompts import graph

            def add(index, example):
                rows = {name: value[None] for name, value in example.items()}
                made = self._render_rows(rows, index[None])
                return {**example, **{name: made[name][0] for name in _MADE}}

            return dataset.enumerate().map(add, num_parallel_calls=graph.AUTOTUNE)

        return with_templates(preprocess, self.templates)

    @functools.cached_property
    def compiled(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """The functions that render inputs and targets; see `graph.compile_patterns`."""
        from flan_jax.prompts import graph

        return graph.compile_templates(self.templates)

    def _render_rows(self, rows: Mapping[str, Any], index_B: Any) -> dict[str, Any]:
        import tensorflow as tf

        which_B = self.choose_in_graph(index_B)
        inputs, targets = self.compiled
        return {
            **rows,
            "inputs": inputs(rows, which_B),
            "targets": targets(rows, which_B),
            "template_id": tf.cast(which_B, tf.int32),
        }

    def _check_index(self, features: Mapping[str, Any], index_field: str) -> None:
        if index_field not in features:
            raise ConfigError(
                f"Template set {self.name!r} chooses by the feature {index_field!r}, which the "
                f"data set lacks; it has {sorted(features)}. Add it in the source, or pass "
                "index_field=None to number the examples as they come."
            )
