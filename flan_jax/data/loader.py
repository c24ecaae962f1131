"""Batches on their way to the devices, prepared by a thread while the devices compute."""

import queue
import threading
import time
from typing import Any, Protocol


class Stream(Protocol):
    """What the loader needs of a `TrainIterator`."""

    @property
    def step(self) -> int:
        """Batches produced so far."""
        ...

    def __next__(self) -> dict[str, Any]:
        """Returns the next host batch."""
        ...

    def state_at(self, step: int) -> bytes:
        """Returns the state after batch number `step`."""
        ...

    def stats(self) -> dict[str, Any]:
        """Returns counts over the batches produced."""
        ...


class Placer(Protocol):
    """What the loader needs of a partitioner."""

    def put_batch(self, host_batch: dict[str, Any]) -> dict[str, Any]:
        """Returns the batch as arrays on the devices."""
        ...


class Loader:
    """Iterates over device batches and counts the time spent waiting for them.

    A daemon thread calls the stream and `put_batch` and keeps `depth` batches ready. An exception
    in it is raised by `next` in the caller's thread, as the same object, once the batches before
    it have been handed out. Close the loader, or use it in a `with` statement.

    Attributes:
      wait_s: seconds `next` has waited so far, over the loader's life.
    """

    def __init__(
        self, stream: Stream, partitioner: Placer, *, start_step: int | None = None, depth: int = 2
    ):
        """Starts the thread.

        Args:
          stream: host batches; nothing else may read it until the loader is closed.
          partitioner: its `put_batch` gives each device its rows.
          start_step: the step the caller believes the stream stands at, checked when given.
          depth: batches kept ready, besides the one being prepared.

        Raises:
          ValueError: the stream stands at another step.
        """
        if start_step is not None and start_step != stream.step:
            raise ValueError(f"the stream stands after batch {stream.step}, not {start_step}")
        self.wait_s = 0.0
        self._stream, self._partitioner = stream, partitioner
        self._step = stream.step
        self._queue: queue.Queue[tuple[dict[str, Any], dict[str, Any]] | BaseException]
        self._queue = queue.Queue(depth)
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._stats = stream.stats()
        self._thread = threading.Thread(target=self._work, name="data-loader", daemon=True)
        self._thread.start()

    @property
    def step(self) -> int:
        """Number of the last batch handed out; 0 before the first of a new stream."""
        return self._step

    def __iter__(self) -> "Loader":
        return self

    def __next__(self) -> dict[str, Any]:
        """Returns the next batch on the devices.

        Raises:
          StopIteration: the stream ended, or the loader is closed.
          Exception: whatever the stream or `put_batch` raised.
        """
        if self._failure is not None:
            raise self._failure
        if self._stop.is_set():
            raise StopIteration
        started = time.perf_counter()
        item = self._queue.get()
        self.wait_s += time.perf_counter() - started
        if isinstance(item, BaseException):
            self._failure = item
            raise item
        self._step += 1
        batch, self._stats = item
        return batch

    def state_at(self, step: int | None = None) -> bytes:
        """Returns the stream's state after the batch handed out as number `step`.

        Batches prepared ahead are not part of it. `step` is the last batch handed out by default.
        """
        return self._stream.state_at(self._step if step is None else step)

    def stats(self) -> dict[str, Any]:
        """Returns the stream's counts over the batches handed out."""
        return self._stats

    def close(self) -> None:
        """Stops the thread and drops prepared batches. The stream stands up to `depth` + 1 ahead.

        Safe to call twice.
        """
        self._stop.set()
        self._drain()
        # A blocked source may never return; the thread is a daemon and does not hold up the exit.
        self._thread.join(timeout=10.0)
        self._drain()

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                host_batch = next(self._stream)
                stats = self._stream.stats()
                self._put((self._partitioner.put_batch(host_batch), stats))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            self._put(error)

    def _put(self, item: Any) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def _drain(self) -> None:
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                return
