"""Mixing rates with a type, so that a number in a mixture says what it is.

Each is what seqio takes for a rate: a function of the Task.
"""

import dataclasses

from flan_jax.errors import ConfigError, DataError


@dataclasses.dataclass(frozen=True)
class Weight:
    """A fixed share, in the unit of the mixture's other weights."""

    value: float

    def __post_init__(self):
        if not self.value > 0:
            raise ConfigError(f"Weight({self.value}): a weight must be above 0.")

    def __call__(self, task) -> float:
        """Returns the weight, whatever the task."""
        return self.value


@dataclasses.dataclass(frozen=True)
class Cap:
    """Examples-proportional mixing: as many rows as the split has, at most `rows`.

    rate = min(rows of the task, rows), of Raffel et al. 2020 (arXiv 1910.10683, section 3.5.2).

    Attributes:
      rows: the cap; None sets none.
      split: whose rows count.
    """

    rows: int | None = None
    split: str = "train"

    def __post_init__(self):
        if self.rows is not None and self.rows < 1:
            raise ConfigError(f"Cap({self.rows}): a cap must be at least 1 row.")

    def __call__(self, task) -> float:
        """Returns the capped number of rows.

        Raises:
          DataError: the source does not know how many rows it has, and there is no cap to take.
        """
        count = task.num_input_examples(self.split)
        if not count or count == float("inf"):
            if self.rows is None:
                raise DataError(
                    f"Task {task.name!r} does not know how many rows its split {self.split!r} has, "
                    "so it cannot be mixed in proportion to them. Give it a Weight or a Cap."
                )
            return float(self.rows)
        return float(count if self.rows is None else min(count, self.rows))
