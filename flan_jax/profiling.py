"""A profile of some steps of a run, for TensorBoard or xprof."""

import os

from flan_jax.errors import ConfigError


def parse_steps(text: str) -> tuple[int, int]:
    """Reads 'FIRST:LAST' or 'STEP'; raises ConfigError for anything else.

    >>> parse_steps("100:104"), parse_steps("7")
    ((100, 104), (7, 7))
    """
    first, _, last = text.partition(":")
    try:
        steps = int(first), int(last or first)
    except ValueError:
        steps = (0, 0)
    check_steps(steps, text)
    return steps


def check_steps(steps: tuple[int, int], found: object = None) -> None:
    """Raises ConfigError unless `steps` are two whole numbers from 1, ascending.

    Args:
      steps: (first, last).
      found: what was written, for the message.
    """
    good = len(steps) == 2 and all(isinstance(each, int) for each in steps)
    if not good or not 1 <= steps[0] <= steps[1]:
        raise ConfigError(
            f"The steps to profile are {found or steps!r}; give the first and the last, counted "
            "from 1: --profile_steps=100:104, or runtime.Runtime.profile_steps = (100, 104)."
        )


class Profiler:
    """Traces the steps `first` to `last`, each host its own devices, into MODEL_DIR/profile."""

    def __init__(self, steps: tuple[int, int] | None, model_dir: str):
        """Prepares; nothing happens before step `first`.

        Args:
          steps: (first, last), from 1, both traced; None traces nothing.
          model_dir: MODEL_DIR.
        """
        self._steps, self._running = steps, False
        self.folder = os.path.join(model_dir, "profile")

    def before(self, step: int) -> None:
        """Call before `step` is queued."""
        if self._steps is not None and step == self._steps[0]:
            import jax  # Not before it is needed: flags are read without it.

            jax.profiler.start_trace(self.folder)
            self._running = True

    def after(self, step: int) -> bool:
        """Call once `step` is done; returns whether the profile is now written."""
        if not self._running or self._steps is None or step < self._steps[1]:
            return False
        self.close()
        return True

    def close(self) -> None:
        """Writes what was traced so far."""
        if self._running:
            self._running = False
            import jax

            jax.profiler.stop_trace()
