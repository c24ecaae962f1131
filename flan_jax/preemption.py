"""Being told to stop: SIGTERM, Ctrl-C, and maintenance notices that reach one host of many."""

import signal
import threading
from types import FrameType

import jax
from jax.experimental import multihost_utils


class StopFlag:
    """Listens for SIGTERM and SIGINT while a run works.

    The first signal asks for a stop after the present step; a second Ctrl-C interrupts at once.
    With several hosts, JAX's preemption service makes them agree on one step to stop at.
    """

    def __init__(self):
        self._asked = False
        self._previous = {}
        if jax.process_count() > 1:
            return  # JAX's own service listens, and tells all hosts.
        if threading.current_thread() is not threading.main_thread():
            return  # Python lets only the main thread install handlers.
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = True

    def reached(self, step: int) -> bool:
        """Whether the run has to stop after `step`; the answer is the same on every host."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._asked

    def close(self) -> None:
        """Gives the signals back to their former handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
