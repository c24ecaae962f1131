"""Several templates for one task, and the choice among them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from flan_jax.errors import ConfigError
from flan_jax.prompts import choice as choices
from flan_jax.prompts.template import Template

Choice = Literal["hash", "rotate"]


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
            return (index + self.seed) % len(self.templates)
        return choices.choose(self.seed, index, len(self.templates))

    def choose_in_graph(self, index: Any) -> Any:
        """The same for a scalar integer tensor; returns a scalar int64 tensor."""
        import tensorflow as tf

        from flan_jax.prompts import graph

        count = len(self)
        if self.choice == "rotate":
            # Reduced first: index + seed may not fit into 64 bits.
            row = tf.math.floormod(tf.cast(index, tf.int64), count)
            return tf.math.floormod(row + self.seed % count, count)
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

        def preprocess(dataset):
            import tensorflow as tf

            from flan_jax.prompts import graph

            inputs = graph.compile_patterns([t.input_pattern for t in self.templates])
            targets = graph.compile_patterns([t.target_pattern for t in self.templates])

            def add(index, example):
                which = self.choose_in_graph(index)
                return {
                    **example,
                    "inputs": inputs(example, which),
                    "targets": targets(example, which),
                    "template_id": tf.cast(which, tf.int32),
                }

            if index_field is None:
                return dataset.enumerate().map(add, num_parallel_calls=graph.AUTOTUNE)
            if index_field not in dataset.element_spec:
                raise ConfigError(
                    f"Template set {self.name!r} chooses by the feature {index_field!r}, which the "
                    f"data set lacks; it has {sorted(dataset.element_spec)}. Add it in the source, "
                    "or pass index_field=None to number the examples as they come."
                )
            return dataset.map(
                lambda example: add(example[index_field], example),
                num_parallel_calls=graph.AUTOTUNE,
            )

        return preprocess
