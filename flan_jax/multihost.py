"""Starting a run of several processes, and ending all of them when one ends early.

`session` finds the other processes, gathers them (flan_jax/roll_call.py), starts JAX's coordinator
and watches the peers (flan_jax/peers.py) while its body runs. docs/runtime.md has the exit codes.
"""

import argparse
import atexit
import contextlib
import ctypes
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from flan_jax import __version__, last_words
from flan_jax.errors import ConfigError, FlanJaxError, PeerLostError, PreemptedError
from flan_jax.peers import Ending, Watch
from flan_jax.roll_call import Member, Patience, gather

_VARIABLES = {
    "coordinator_address": "JAX_COORDINATOR_ADDRESS",
    "num_processes": "JAX_NUM_PROCESSES",
    "process_id": "JAX_PROCESS_ID",
}
# How long the others may take to end by themselves once one is gone, and how long process 0, which
# has JAX's coordinator, stays for them.
_GRACE_S = 5.0
# How long an error here may wait for the news that another process caused it.
_NEWS_S = 2.0
_KEPT: list[Any] = []


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of a command that several hosts can run together."""
    group = parser.add_argument_group(
        "several processes",
        "On a TPU pod, GKE, Slurm or Open MPI --multihost finds the others by itself. Elsewhere "
        "start the command once per host with the three addresses below.",
    )
    group.add_argument(
        "--multihost", action="store_true", help="one of several hosts that run this command"
    )
    group.add_argument(
        "--coordinator_address",
        metavar="HOST:PORT",
        help="of process 0, a port free there; or JAX_COORDINATOR_ADDRESS",
    )
    group.add_argument(
        "--num_processes", metavar="N", type=int, help="of the run; or JAX_NUM_PROCESSES"
    )
    group.add_argument(
        "--process_id", metavar="I", type=int, help="this one's, from 0; or JAX_PROCESS_ID"
    )
    group.add_argument(
        "--start_report_s",
        metavar="S",
        type=float,
        default=Patience.report_s,
        help="say who is missing after so many seconds, and again; default: %(default)s",
    )
    group.add_argument(
        "--start_timeout_s",
        metavar="S",
        type=float,
        default=Patience.start_s,
        help="give the missing up after so many seconds; default: %(default)s",
    )
    group.add_argument(
        "--peer_timeout_s",
        metavar="S",
        type=float,
        default=Patience.peer_s,
        help="end when a host was silent for so many seconds; default: %(default)s",
    )


def common(args: argparse.Namespace) -> str:
    """What the command line must say alike on all hosts, for `session`."""
    given = {name: value for name, value in vars(args).items() if name not in ("run", "process_id")}
    return "\n".join(f"{name} = {value!r}" for name, value in sorted(given.items()))


@contextlib.contextmanager
def session(args: argparse.Namespace, config_text: str = "") -> Iterator[None]:
    """Runs the body as one process of several, if the flags or the environment ask for it.

    Args:
      args: has the flags of `add_arguments`.
      config_text: what must be the same on all hosts.

    Raises:
      ConfigError: the processes do not fit together.
      HostsMissingError: some did not come.
      PeerLostError: another process ended early. If this one does not notice, because it waits for
        the other, it is ended with the same exit code after a few seconds.
    """
    member = find_member(args, config_text)
    if member is None:
        yield
        return
    patience = Patience(args.start_report_s, args.start_timeout_s, args.peer_timeout_s)
    peers = gather(member, patience, _command(), _say)
    _say(f"process {member.process_id}: all {member.num_processes} processes are here")
    watch = Watch(peers, patience.peer_s, _end_soon)
    own_code: list[int] = []
    _catch_abort(watch, own_code)
    try:
        _start_jax(member, patience)
        yield
    except BaseException as error:
        lost = _verdict(watch, error)
        if lost is None and isinstance(error, PreemptedError):
            _leave(watch)  # All stop together, at the same step.
            raise
        code = last_words.classify(error)[1] if lost is None else lost.exit_code
        if lost is None:
            watch.fail(code, f"{type(error).__name__}: {error}")
        # JAX would wait at the exit for processes that never come.
        own_code.append(code)
        atexit.register(_exit_now, watch, code)
        _later(4 * _GRACE_S, _exit_now, watch, code)
        if lost is None:
            raise
        raise lost from error
    _leave(watch)


def find_member(args: argparse.Namespace, config_text: str = "") -> Member | None:
    """Returns what this process is in the run; None where it is alone.

    Raises:
      ConfigError: some of the addresses are missing or out of range.
    """
    given: dict[str, Any] = {
        name: getattr(args, name) if getattr(args, name) is not None else os.environ.get(variable)
        for name, variable in _VARIABLES.items()
    }
    flagged = [name for name in _VARIABLES if getattr(args, name) is not None]
    if not (args.multihost or flagged):
        return None
    if None in given.values():
        found = _detect(given)
        given |= {name: value for name, value in found.items() if given[name] is None}
    absent = [name for name, value in given.items() if value is None]
    if absent:
        flags = ", ".join(f"--{name} (or {_VARIABLES[name]})" for name in absent)
        raise ConfigError(
            f"This host is one of several, but nothing says where the others are: no TPU pod, GKE, "
            f"Slurm or Open MPI was found. Give {flags}."
        )
    try:
        count, number = int(given["num_processes"] or 0), int(given["process_id"] or 0)
    except ValueError as error:
        raise ConfigError(
            f"num_processes and process_id must be whole numbers, found "
            f"{given['num_processes']!r} and {given['process_id']!r}."
        ) from error
    if not 0 <= number < count:
        raise ConfigError(
            f"--process_id is {number} and --num_processes {count}; the first must be from 0 to "
            "one less than the second."
        )
    if count == 1:
        return None
    from flan_jax.gin_utils import config_hash

    digest = config_hash(f"{__version__}\n{config_text}")
    return Member(str(given["coordinator_address"]), count, number, digest)


def _detect(given: dict[str, Any]) -> dict[str, Any]:
    """What the cluster's environment says; JAX knows how each kind of cluster tells."""
    from jax._src import clusters

    try:
        address, count, number, _ = clusters.ClusterEnv.auto_detect_unset_distributed_params(
            given["coordinator_address"],
            given["num_processes"],
            given["process_id"],
            local_device_ids=None,
            cluster_detection_method=None,
            initialization_timeout=60,
        )
    except Exception as error:  # Of the metadata server, of a half-set environment.
        raise ConfigError(
            f"The cluster's environment could not be read: {type(error).__name__}: {error}. Give "
            "--coordinator_address, --num_processes and --process_id."
        ) from error
    return {"coordinator_address": address, "num_processes": count, "process_id": number}


def _start_jax(member: Member, patience: Patience) -> None:
    import jax

    jax.distributed.initialize(
        member.address,
        member.num_processes,
        member.process_id,
        initialization_timeout=max(60, int(patience.start_s)),
        # Later than our own watch, which says who it was.
        heartbeat_timeout_seconds=int(2 * patience.peer_s) + 60,
    )


def _catch_abort(watch: Watch, own_code: list[int]) -> None:
    """Gives a process that JAX aborts because process 0 is gone the exit code of that.

    JAX's client logs and aborts at once when its coordinator's connection breaks, from a thread of
    its own. A handler of Python's would not be run then, one of C's is.
    """

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def on_abort(number: int) -> None:
        del number
        if own_code:
            os._exit(own_code[0])
        ending = watch.verdict(_NEWS_S)
        if ending is not None:
            _end_now(_lost(ending))

    _KEPT.append(on_abort)  # C has only its address.
    ctypes.CDLL(None).signal(signal.SIGABRT.value, on_abort)


def _command() -> str:
    """What was typed here, with `{process_id}` where it stands."""
    words = []
    for word in ["flan-jax", *sys.argv[1:]]:
        if words[-1:] == ["--process_id"]:
            word = "{process_id}"
        elif word.startswith("--process_id="):
            word = "--process_id={process_id}"
        words.append(word if "{process_id}" in word else shlex.quote(word))
    return " ".join(words)


def _say(text: str) -> None:
    print(f"flan-jax: {text}", file=sys.stderr, flush=True)


def _verdict(watch: Watch, error: BaseException) -> PeerLostError | None:
    """Another process's end, if that is what caused `error`."""
    if isinstance(error, PreemptedError):
        return None
    ending = watch.verdict(_NEWS_S)
    # Where all ended for a reason of their own, such as a NaN, each says its own.
    if ending is None or (isinstance(error, FlanJaxError) and ending.exit_code is not None):
        return None
    return _lost(ending)


def _lost(ending: Ending) -> PeerLostError:
    lost = PeerLostError(
        f"{ending.text[0].upper()}{ending.text[1:]}. The run cannot go on without it; the last "
        "whole checkpoint is kept. Start the same command again on every host."
    )
    if ending.exit_code is not None:
        lost.exit_code = ending.exit_code
    return lost


def _end_soon(ending: Ending) -> None:
    """Ends this process a little later: it may wait for the lost one for ever."""
    lost = _lost(ending)
    _say(str(lost))
    _later(_GRACE_S, _end_now, lost)


def _end_now(lost: PeerLostError) -> None:
    last_words.end(lost)
    os._exit(lost.exit_code)


def _later(delay_s: float, call: Callable[..., None], *args: Any) -> None:
    timer = threading.Timer(delay_s, call, args)
    timer.daemon = True
    timer.start()


def _exit_now(watch: Watch, code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    watch.close(3 * _GRACE_S)
    os._exit(code)


def _leave(watch: Watch) -> None:
    """Ends together with the others."""
    import jax

    jax.distributed.shutdown()
    watch.close(_GRACE_S)
