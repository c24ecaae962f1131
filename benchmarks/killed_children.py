"""Commands of flan-jax in forked processes that are killed: the means of `kill_points` and `soak`.

The process that forks has imported everything but started neither JAX nor TensorFlow, whose threads
a fork would lose; so a child begins its work at once. It is for Linux.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import multiprocessing
import os
import pathlib
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

KILLED = 137
# Tasks for `flan-jax prepare` that need no files.
TEST_TASKS = "tests.data.prepared.prepare_tasks"
# A child that takes longer is taken for one that hangs.
LIMIT_S = 900.0
_FILE_EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.scandir"}
_POLL_S = 0.005

# (owner, name, phase, phase when it returns): a function during which a child is in a phase.
# Without the last one it is then in the phase of before.
Mark = tuple[Any, str, str, str | None]


class Failure(Exception):
    """A child ended with an error, or not at all."""


class Child:
    """One forked process that runs a command; shared memory says where it is.

    Attributes:
      pid: of the process, which leads a session of its own.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: str,
        environment: Mapping[str, str],
        phases: Sequence[str] = ("run",),
        marks: Callable[[], Sequence[Mark]] = tuple,
        watched: str = "/",
        event: int | None = None,
        after_s: float | None = None,
    ):
        """Starts it.

        Args:
          argv: of `flan-jax`.
          log: file for its output.
          environment: set beside the parent's.
          phases: names; it begins in the first.
          marks: called in the child: what it is in the other phases for.
          watched: the path below which file operations are counted.
          event: the number of the file operation at which it ends itself, from 1.
          after_s: the seconds after which it ends itself.
        """
        self._phases = tuple(phases)
        self._phase: Any = multiprocessing.Value(ctypes.c_int, 0, lock=False)
        self._begun_s: Any = multiprocessing.Value(ctypes.c_double, 0.0, lock=False)
        self._events: Any = multiprocessing.Value(ctypes.c_int, 0, lock=False)
        self._started = time.monotonic()
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.setsid()
                _redirect(log)
                os.environ.update(environment)
                for mark in marks():
                    self._mark(*mark)
                sys.addaudithook(self._hook(watched, event))
                if after_s is not None:
                    timer = threading.Timer(after_s, lambda: os._exit(KILLED))
                    timer.daemon = True
                    timer.start()
                code = _run(argv)
            finally:
                sys.stdout.flush()
                os._exit(code)

    @property
    def events(self) -> int:
        """File operations so far."""
        return self._events.value

    @property
    def begun_s(self) -> float:
        """Seconds until it left its first phase; 0 before that."""
        return self._begun_s.value

    def _hook(self, root: str, last: int | None) -> Any:
        def hook(event: str, args: tuple) -> None:
            if event in _FILE_EVENTS and args and str(args[0]).startswith(root):
                self._events.value += 1
                if self._events.value == last:
                    os._exit(KILLED)

        return hook

    def _mark(self, owner: Any, name: str, phase: str, back: str | None) -> None:
        real = getattr(owner, name)

        def enter(number: int) -> None:
            if number and not self._begun_s.value:
                self._begun_s.value = time.monotonic() - self._started
            self._phase.value = number

        def call(*args: Any, **kwargs: Any) -> Any:
            before = self._phase.value
            enter(self._phases.index(phase))
            try:
                return real(*args, **kwargs)
            finally:
                enter(before if back is None else self._phases.index(back))

        setattr(owner, name, call)

    def wait(self, kill_when: Callable[[float], bool] | None = None) -> tuple[bool, str, float]:
        """Waits for its end, and kills it with all its processes when it is time.

        Args:
          kill_when: seconds since its start -> whether SIGKILL is due.

        Returns:
          Whether it was killed, the phase it was in, seconds it ran.

        Raises:
          Failure: it ended with an error of its own, or hung.
        """
        waited_s, last_s = 0.0, time.monotonic()
        while (code := self.poll()) is None:
            ran_s = time.monotonic() - self._started
            # A machine that was suspended did not work.
            waited_s += min(1.0, time.monotonic() - last_s)
            last_s = time.monotonic()
            if waited_s > LIMIT_S:
                kill_tree(self.pid)
                raise Failure(f"a run did not end in {LIMIT_S:.0f} s: see its log")
            if kill_when is not None and kill_when(ran_s):
                kill_tree(self.pid)
                kill_when = None
            time.sleep(_POLL_S)
        if code not in (0, KILLED, -signal.SIGKILL):
            raise Failure(f"a run ended with {code}: see its log")
        ran_s = time.monotonic() - self._started
        return code != 0, self._phases[self._phase.value], ran_s

    def poll(self) -> int | None:
        """Returns its exit code, negative for a signal; None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code


def _redirect(log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def _run(argv: Sequence[str]) -> int:
    from flan_jax import cli, last_words

    last_words.own_process()
    return cli.main(argv)


def kill_tree(pid: int) -> None:
    """Sends SIGKILL to a process and then to all that descend from it."""
    for each in [pid, *descendants(pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Returns the processes below one, read from /proc."""
    children: dict[int, list[int]] = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name, in brackets, may hold blanks; state and parent come after it.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def in_child(function: Callable[..., Any], *args: Any) -> Any:
    """Returns the JSON value that a function returns in a forked process, which may start JAX.

    Raises:
      RuntimeError: it failed; its traceback is on stderr.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reader)
            with os.fdopen(writer, "w") as file:
                json.dump(function(*args), file)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError(f"{getattr(function, '__name__', function)} failed in a child")
    return json.loads(text)


def import_everything(what: Container[str]) -> None:
    """Imports what the commands need, without starting JAX's or TensorFlow's threads."""
    names = [
        *("seqio", "orbax.checkpoint", "flan_jax.configurables", "flan_jax.train"),
        *("flan_jax.evaluations", "flan_jax.evaluate", "flan_jax.data.live"),
        *("flan_jax.data.stream", "flan_jax.data.train_stream", "flan_jax.eval.runner"),
        *("flan_jax.data.hf_vocabulary", "flan_jax.data.words", "tasks.registration"),
        *("tasks.miniflan.tasks", "tasks.miniflan.cot_tasks", "tasks.miniflan.worlds"),
        *("array_record.python.array_record_module", "flan_jax.data.prepared.command"),
        *("flan_jax.data.prepared.assembly", "flan_jax.data.prepared.rendering"),
        *("flan_jax.data.prepared.fingerprint", "flan_jax.data.prepared.checking"),
        "jaxlib.mlir.dialects.mhlo",
    ]
    if "train" in what:
        names += ["grain", "flan_jax.data.order.opening", "flan_jax.data.order.iterator"]
    if "prepare" in what:
        names.append(TEST_TASKS)
    if "eval" in what:
        names += ["flan_jax.eval.suites.command", "flan_jax.eval.suites.answering"]
        names += ["flan_jax.eval.suites.report_page", "flan_jax.eval.suites.catalog"]
    modules = {name: importlib.import_module(name) for name in names}
    modules["tasks.miniflan.worlds"].make_world(0, None)  # Takes a second, and is kept.
    if "eval" in what:
        modules["flan_jax.eval.suites.catalog"].suites()
    from jax._src import xla_bridge

    assert not xla_bridge.backends_are_initialized(), "a forked child could not use JAX"
    # A collection would go through all modules in every child, and copy their pages.
    gc.collect()
    gc.freeze()
    gc.disable()


def set_environment(work: pathlib.Path) -> None:
    """Sets this process's variables for the children; before JAX is imported."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # The programs run for milliseconds: compiling them quickly is what counts.
    os.environ.setdefault(
        "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    )
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(work / "xla_cache")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
