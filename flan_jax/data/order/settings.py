"""What decides the order of prepared examples, besides the data set's configuration."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import gin

from flan_jax.data.order import rates
from flan_jax.errors import ConfigError


@gin.configurable(module="order")
@dataclasses.dataclass(frozen=True)
class Settings:
    """How prepared examples are mixed, packed and read.

    Attributes:
      window: examples that are packed together, about; a larger one wastes less of the rows and
        takes longer to plan (docs/order.md). A step's rows are had from one window alone.
      stages: first step -> pattern of task names -> rate (`rates.shares`); from that step on the
        tasks it names are drawn by it, the others as in the mixture. None for no stages.
      max_epochs: pattern of task names -> epochs after which a task is drawn no more. It leaves
        with the first window that starts when all its rows were given so often.
      max_segments: most examples of a packed row; None for any number.
      threads: that read examples.
      prefetch: batches read ahead.
      workers: processes that read examples in place of the threads of this one; 0 for none.

    Raises:
      ConfigError: a field has a value no run could use.
    """

    window: int = 131072
    stages: Mapping[int, Mapping[str, Any]] | None = None
    max_epochs: Mapping[str, float] | None = None
    max_segments: int | None = None
    threads: int = 4
    prefetch: int = 8
    workers: int = 0

    def __post_init__(self):
        least = {"window": 1, "threads": 1, "prefetch": 1, "workers": 0, "max_segments": 1}
        for name, smallest in least.items():
            value = getattr(self, name)
            if value is None and name == "max_segments":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
                raise ConfigError(
                    f"order.Settings.{name} must be a whole number of at least {smallest}, found "
                    f"{value!r}."
                )
        for step in self.stages or {}:
            if isinstance(step, bool) or not isinstance(step, int) or step < 0:
                raise ConfigError(
                    f"order.Settings.stages has the first step {step!r}; whole numbers of 0 or "
                    "more are expected: {5000: {'cot_*': 0}}."
                )
        for pattern, epochs in (self.max_epochs or {}).items():
            if isinstance(epochs, bool) or not isinstance(epochs, int | float) or epochs <= 0:
                raise ConfigError(
                    f"order.Settings.max_epochs[{pattern!r}] must be above 0, found {epochs!r}."
                )

    def order_fields(self) -> dict[str, Any]:
        """The fields that decide which rows come in which order, as JSON-able values.

        Patterns are in lists: of several that fit a task the first one counts.
        """
        return {
            "window": self.window,
            "stages": {
                str(step): [[pattern, rates.described(rate)] for pattern, rate in stage.items()]
                for step, stage in (self.stages or {}).items()
            },
            # Empty as it was before there were lists, so that runs saved then go on.
            "max_epochs": [list(item) for item in (self.max_epochs or {}).items()] or {},
            "max_segments": self.max_segments,
        }
