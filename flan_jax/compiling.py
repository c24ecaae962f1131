"""Compiling programs: kept on disk, counted, and begun before they are needed.

A restart finds its programs in the persistent cache and loads them in seconds. What is compiled in
a thread while data are read or a checkpoint is restored costs nothing.
"""

import dataclasses
import functools
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax
import jax.monitoring

from flan_jax.errors import ConfigError

_COMPILED = "/jax/core/compile/backend_compile_duration"
_HIT, _MISS = "/jax/compilation_cache/cache_hits", "/jax/compilation_cache/cache_misses"

_Result = TypeVar("_Result")


def use_cache(setting: str, model_dir: str) -> str | None:
    """Turns the persistent cache on.

    Args:
      setting: 'auto', 'off' or a directory (absolute, or a URL such as gs://bucket/cache). 'auto'
        is what JAX_COMPILATION_CACHE_DIR says, else MODEL_DIR/xla_cache. On CPU that is off, as a
        program may hold instructions that another machine lacks.
      model_dir: MODEL_DIR.

    Returns:
      The directory, None where there is no cache.

    Raises:
      ConfigError: the directory is a relative path.
    """
    place = None if setting == "off" else setting
    if setting == "auto":
        place = os.environ.get("JAX_COMPILATION_CACHE_DIR")
        if place is None and jax.default_backend() != "cpu":
            place = os.path.join(model_dir, "xla_cache")
    if place is not None and "://" not in place and not os.path.isabs(place):
        raise ConfigError(
            f"train_script.train.compile_cache is {place!r}; give 'auto', 'off', a URL or an "
            f"absolute path, such as {os.path.abspath(place)!r}."
        )
    if place != getattr(jax.config, "jax_compilation_cache_dir", None):
        from jax.experimental.compilation_cache import compilation_cache

        jax.config.update("jax_compilation_cache_dir", place)
        # JAX looks at the setting once, at the first program of the process.
        compilation_cache.reset_cache()
    return place


@dataclasses.dataclass
class CompileCount:
    """Programs compiled so far.

    Attributes:
      programs: how many, those found in the cache included.
      seconds: spent on them, in all threads.
      hits: programs found in the persistent cache.
      misses: programs looked for there in vain.
    """

    programs: int = 0
    seconds: float = 0.0
    hits: int = 0
    misses: int = 0


class CompileLog:
    """Counts what JAX compiles from its making until it is closed or forgotten.

    Attributes:
      count: of this process.
    """

    def __init__(self, on_main: Callable[[float], None] | None = None):
        """Starts counting.

        Args:
          on_main: called with the seconds of each program that the present thread had to wait for.
        """
        self.count = CompileCount()
        self._on_main, self._main = on_main, threading.get_ident()
        self._lock = threading.Lock()
        _listen()
        _LOGS.add(self)

    def close(self) -> None:
        """Stops counting."""
        _LOGS.discard(self)

    def describe(self) -> str:
        """One sentence on the cache, empty where none was asked."""
        count = self.count
        asked = count.hits + count.misses
        return f"{count.hits} of {asked} programs from the compile cache" if asked else ""

    def compiled(self, seconds: float) -> None:
        """Counts a program, in the thread that compiled it."""
        with self._lock:
            self.count.programs += 1
            self.count.seconds += seconds
        if self._on_main is not None and threading.get_ident() == self._main:
            self._on_main(seconds)

    def looked_up(self, found: bool) -> None:
        """Counts a question to the persistent cache."""
        with self._lock:
            self.count.hits += found
            self.count.misses += not found


_LOGS: weakref.WeakSet[CompileLog] = weakref.WeakSet()


@functools.cache
def _listen() -> None:
    """Has JAX tell all logs of this process; once, since JAX knows no end of it."""

    def on_duration(event: str, duration_secs: float, **unused: Any) -> None:
        if event == _COMPILED:
            for log in list(_LOGS):
                log.compiled(duration_secs)

    def on_event(event: str, **unused: Any) -> None:
        if event in (_HIT, _MISS):
            for log in list(_LOGS):
                log.looked_up(event == _HIT)

    jax.monitoring.register_event_duration_secs_listener(on_duration)
    jax.monitoring.register_event_listener(on_event)


class Ahead(Generic[_Result]):
    """A call begun in a thread, whose result is wanted later.

    The thread does not hold up the end of the process.

    Attributes:
      seconds: that the call took, once it is done.
    """

    def __init__(self, call: Callable[[], _Result]):
        """Begins the call."""
        self.seconds = 0.0
        self._call = call
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Waits for the end of the call, whatever it is."""
        self._thread.join()

    def result(self) -> _Result:
        """Waits for the call and returns its result, or raises its error."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        started = time.perf_counter()
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            self._error = error
        self.seconds = time.perf_counter() - started
