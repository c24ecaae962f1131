"""The processes of a run find each other, and say who is missing while they wait.

Before JAX starts, process 0 listens on the coordinator's port and every other process calls it with
its number, its host and a digest of its configuration. While some are missing, all of them say
which. When all are there process 0 gives up listening, so that JAX's coordinator can have the port;
the connections stay (flan_jax/peers.py).
"""

import dataclasses
import socket
import time
from collections.abc import Callable, Mapping

from flan_jax.errors import ConfigError, HostsMissingError
from flan_jax.peers import Link, Peer

_TICK_S = 0.2
_TELL_S = 2.0
_HELLO_S = 5.0


@dataclasses.dataclass(frozen=True)
class Member:
    """This process among those of the run.

    Attributes:
      address: host:port of the coordinator, which is process 0.
      num_processes: of the run.
      process_id: of this one, from 0.
      digest: of what must be the same everywhere.
    """

    address: str
    num_processes: int
    process_id: int
    digest: str = ""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds.

    Attributes:
      report_s: until the first message on who is missing, and between two of them.
      start_s: until the missing are given up.
      peer_s: of silence until a process counts as dead.
    """

    report_s: float = 60.0
    start_s: float = 900.0
    peer_s: float = 100.0


def missing_text(
    num_processes: int, present: Mapping[int, str], waited_s: float, command: str
) -> str:
    """Says who is missing and what to do.

    Args:
      num_processes: of the run.
      present: process -> host, of those that are there.
      waited_s: so far.
      command: process -> what starts it, with `{process_id}` in its place.
    """
    absent = [i for i in range(num_processes) if i not in present]
    named = ", ".join(f"process {i}" for i in absent[:8])
    more = f" and {len(absent) - 8} more" if len(absent) > 8 else ""
    here = ", ".join(f"{i} ({host})" for i, host in sorted(present.items())[:8])
    rest = f" and {len(present) - 8} more" if len(present) > 8 else ""
    return (
        f"expected {num_processes} processes, saw {len(present)} after {waited_s:.0f} s; "
        f"missing: {named}{more}; here: {here}{rest}. Every host must run the command; "
        f"for process {absent[0]}: {command.replace('{process_id}', str(absent[0]))}"
    )


def gather(
    member: Member, patience: Patience, command: str, say: Callable[[str], None]
) -> list[Peer]:
    """Waits until all processes are there.

    Args:
      member: this process.
      patience: how long.
      command: what starts a process, with `{process_id}` in its place, for messages.
      say: receives sentences, on every process.

    Returns:
      On process 0 all others, elsewhere process 0.

    Raises:
      HostsMissingError: some did not come in time; they are named.
      ConfigError: two processes have the same number, another number of processes or another
        configuration, or the port is taken.
    """
    if member.process_id == 0:
        return _wait_for_others(member, patience, command, say)
    return [_call_the_first(member, patience, command, say)]


# ------------------------------------------------------------------------- process 0


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(
            f"The coordinator's address is {address!r}; it must be HOST:PORT, the host of process "
            "0 and a port free there, such as 10.0.0.2:8476."
        )
    return host.strip("[]"), int(port)


def _listen(address: str) -> socket.socket:
    host, port = _split(address)
    loopback = host in ("localhost", "::1") or host.startswith("127.")
    try:
        # As JAX's coordinator, which has the port afterwards, does: on all interfaces, unless the
        # run is on one machine.
        if loopback or not socket.has_dualstack_ipv6():
            server = socket.create_server((host if loopback else "", port), backlog=1024)
        else:
            server = socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024
            )
    except OSError as error:
        raise ConfigError(
            f"Process 0 cannot listen on port {port} ({error.strerror or error}): another run may "
            "have it. End that run, or give --coordinator_address another port on every host."
        ) from error
    server.settimeout(_TICK_S)
    return server


def _wait_for_others(
    member: Member, patience: Patience, command: str, say: Callable[[str], None]
) -> list[Peer]:
    peers: dict[int, Peer] = {}
    started = told = reported = time.monotonic()
    own_host = socket.gethostname()

    def present() -> dict[int, str]:
        return {0: own_host} | {i: peer.host for i, peer in peers.items()}

    with _listen(member.address) as server:
        while len(peers) + 1 < member.num_processes:
            try:
                newcomer = _accept(server, member, peers, own_host)
            except ConfigError as error:
                _dismiss(peers, str(error))
                raise
            if newcomer is not None:
                peers[newcomer.process_id] = newcomer
                told = 0.0  # All hear of it at once.
                say(f"{newcomer} is here, {len(peers) + 1} of {member.num_processes}")
            now = time.monotonic()
            if now - told >= _TELL_S:
                told = now
                for peer in list(peers.values()):
                    if not peer.link.send(present=sorted(present().items())):
                        say(f"{peer} went away again")
                        peer.link.close()
                        del peers[peer.process_id]
            if now - reported >= patience.report_s:
                reported = now
                say(missing_text(member.num_processes, present(), now - started, command))
            if now - started >= patience.start_s:
                text = missing_text(member.num_processes, present(), now - started, command)
                _dismiss(peers, text, missing=True)
                raise HostsMissingError(f"Gave up: {text}")
    for peer in peers.values():
        peer.link.send(go=True)
    return [peers[i] for i in sorted(peers)]


def _dismiss(peers: Mapping[int, Peer], text: str, missing: bool = False) -> None:
    for peer in peers.values():
        peer.link.send(refused=text, missing=missing)
        peer.link.close()


def _accept(
    server: socket.socket, member: Member, peers: Mapping[int, Peer], own_host: str
) -> Peer | None:
    """Returns the next process that belongs to the run, or None if none calls now."""
    try:
        sock, _ = server.accept()
    except TimeoutError:
        return None
    link = Link(sock)
    try:
        hello = link.receive(_HELLO_S) or {}
        process_id, host = hello["process_id"], str(hello["host"])
        count, digest = hello["num_processes"], hello["digest"]
    except (EOFError, KeyError):  # A port scanner, a health check.
        link.close()
        return None
    problem = ""
    if count != member.num_processes:
        problem = (
            f"process {process_id} ({host}) expects {count} processes, process 0 ({own_host}) "
            f"{member.num_processes}: give all the same --num_processes"
        )
    elif not isinstance(process_id, int) or not 0 < process_id < member.num_processes:
        problem = (
            f"{host} calls itself process {process_id}, but {own_host} is process 0 and the others "
            f"are 1 to {member.num_processes - 1}: give each host its own --process_id"
        )
    elif process_id in peers and peers[process_id].link.send(present=[]):
        problem = (
            f"both {peers[process_id].host} and {host} call themselves process {process_id}: give "
            "each host its own --process_id"
        )
    elif digest != member.digest:
        problem = (
            f"process {process_id} ({host}) has another configuration or version than process 0 "
            f"({own_host}): start the same commit with the same gin files and flags everywhere"
        )
    if problem:
        link.send(refused=problem)
        link.close()
        raise ConfigError(f"{problem[0].upper()}{problem[1:]}.")
    return Peer(process_id, host, link)


# ------------------------------------------------------------------------- the others


def _call_the_first(
    member: Member, patience: Patience, command: str, say: Callable[[str], None]
) -> Peer:
    target, own_host = _split(member.address), socket.gethostname()
    started = time.monotonic()
    reported, reason, present = started, "no answer", None
    link: Link | None = None
    hello = {**dataclasses.asdict(member), "host": own_host}

    def state(waited_s: float) -> str:
        if link is not None and present:
            return missing_text(member.num_processes, present, waited_s, command)
        return (
            f"process {member.process_id} of {member.num_processes} ({own_host}) cannot reach "
            f"process 0 at {member.address} after {waited_s:.0f} s ({reason}). Either it does not "
            f"run there, or a firewall closes the port; on its host run: "
            f"{command.replace('{process_id}', '0')}"
        )

    while True:
        if link is None:
            try:
                link = Link(socket.create_connection(target, timeout=_HELLO_S))
                link.send(**hello)
            except OSError as error:
                reason = error.strerror or str(error) or type(error).__name__
                time.sleep(_TICK_S)
        else:
            try:
                message = link.receive(_TICK_S) or {}
            except EOFError as error:  # Process 0 was started again, say.
                link.close()
                link, reason, message = None, str(error), {}
                time.sleep(_TICK_S)
            if "go" in message and link is not None:
                return Peer(0, target[0], link)
            if "refused" in message and link is not None:
                link.close()
                kind = HostsMissingError if message.get("missing") else ConfigError
                raise kind(f"Process 0 gave up: {message['refused']}")
            if message.get("present"):
                present = {int(i): str(host) for i, host in message["present"]}
        now = time.monotonic()
        if now - reported >= patience.report_s:
            reported = now
            say(state(now - started))
        # Process 0, which knows more, gives up first.
        if now - started >= patience.start_s + (_HELLO_S if link is not None else 0):
            if link is not None:
                link.close()
            raise HostsMissingError(f"Gave up: {state(now - started)}")
