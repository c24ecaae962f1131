"""Being told to stop: signals, and maintenance notices that reach one host of many."""

import os
import signal
import threading
from types import FrameType

import jax
from jax.experimental import multihost_utils

from flan_jax import last_words
from flan_jax.maintenance import MaintenanceWatch

# SIGUSR1 is what Slurm and other schedulers are asked to send ahead of a time limit.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# After a second signal, how long what is open may take to close before the process ends anyway.
_GRACE_S = 10.0


class StoppedAtOnce(KeyboardInterrupt):
    """A second signal came: nothing more is saved. `exit_code` is what a shell would report."""

    def __init__(self, number: int):
        super().__init__(f"second signal, {signal.Signals(number).name}")
        self.exit_code = 128 + number


class StopFlag:
    """Listens for SIGTERM, SIGINT, SIGUSR1 and Google's maintenance notices while a run works.

    The first asks for a stop after the present step; a second SIGTERM or SIGINT stops at once. With
    several processes, JAX's preemption service makes them agree on one step: it listens to SIGTERM,
    so whatever else reaches a process is passed on to it as SIGTERM.

    Attributes:
      reason: what asked for the stop, once something did on this host.
    """

    def __init__(self, metadata_address: str | None = None, poll_s: float = 5.0):
        """Starts listening.

        Args:
          metadata_address: host and port of the metadata server; found by itself by default.
          poll_s: seconds between two questions to it.
        """
        self.reason: str | None = None
        self._previous = {}
        self._several = jax.process_count() > 1
        # Python lets only the main thread install handlers.
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if not (self._several and number == signal.SIGTERM):
                    self._previous[number] = signal.signal(number, self._handle)
        self._watch = MaintenanceWatch(self._ask, metadata_address, poll_s)

    def _ask(self, reason: str) -> None:
        self.reason = reason
        if self._several:
            os.kill(os.getpid(), signal.SIGTERM)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.reason is None:
            self._ask(signal.Signals(number).name)
        elif number != signal.SIGUSR1:
            error = StoppedAtOnce(number)
            last_words.end_within(_GRACE_S, error)
            raise error

    def reached(self, step: int) -> bool:
        """Whether the run has to stop after `step`; the answer is the same on every host."""
        if self._several:
            return multihost_utils.reached_preemption_sync_point(step)
        return self.reason is not None

    def close(self) -> None:
        """Gives the signals back to their former handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
        self._watch.close()
