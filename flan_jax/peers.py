"""Connections between the processes of a run, over which they learn at once that one is gone.

Each process says every few seconds that it lives, and in the end how it ended. A killed process
closes its connection at once; a host that is cut off falls silent. Messages are JSON objects, one a
line.
"""

import contextlib
import dataclasses
import json
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

MOST_SEND_S = 5.0
_MOST_BYTES = 1 << 16
_BEAT_S = 5.0
_TICK_S = 0.05


@dataclasses.dataclass(frozen=True)
class Ending:
    """How another process left the run before its end.

    Attributes:
      process_id: which.
      text: a sentence about it.
      exit_code: what it ends with, None where it did not say.
    """

    process_id: int
    text: str
    exit_code: int | None = None


class Link:
    """One connection: lines of JSON, from any thread."""

    def __init__(self, sock: socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock, self._buffer, self._lock = sock, b"", threading.Lock()

    def send(self, **message: Any) -> bool:
        """Sends a message; returns whether the connection still takes any."""
        line = json.dumps(message).encode() + b"\n"
        try:
            with self._lock:
                self._sock.settimeout(MOST_SEND_S)
                self._sock.sendall(line)
        except OSError:
            return False
        return True

    def receive(self, timeout_s: float) -> dict[str, Any] | None:
        """Returns the next message, or None if there is none in time.

        Raises:
          EOFError: the other side is gone, or what comes is no message.
        """
        until = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            left = until - time.monotonic()
            try:
                # Not the socket's own time limit, which belongs to whoever sends.
                if left <= 0 or not select.select([self._sock], [], [], left)[0]:
                    return None
                part = self._sock.recv(4096)
            except (OSError, ValueError) as error:
                raise EOFError(str(error)) from error
            self._buffer += part
            if not part or len(self._buffer) > _MOST_BYTES:
                raise EOFError("the connection was closed")
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError as error:
            raise EOFError("not a message") from error
        if not isinstance(message, dict):
            raise EOFError("not a message")
        return message

    def close(self) -> None:
        """Closes the connection; the other side sees its end."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


@dataclasses.dataclass
class Peer:
    """Another process: its number, host and connection."""

    process_id: int
    host: str
    link: Link

    def __str__(self) -> str:
        return f"process {self.process_id} ({self.host})"


class Watch:
    """Listens to the other processes, and passes on that one of them is gone.

    Process 0 hears all others and tells each of them; these hear process 0.
    """

    def __init__(self, peers: list[Peer], peer_s: float, on_ending: Callable[[Ending], None]):
        """Starts the threads.

        Args:
          peers: who is heard.
          peer_s: seconds of silence until a process counts as dead.
          on_ending: called once, in a thread, with the first process that is gone before its time.
        """
        self._peers, self._peer_s, self._on_ending = peers, peer_s, on_ending
        self._left: set[int] = set()
        self._done = threading.Event()
        self._lock = threading.Lock()
        self.ending: Ending | None = None
        self._known = threading.Event()
        self._threads = [
            threading.Thread(target=self._hear, args=(peer,), name="peer-watch", daemon=True)
            for peer in peers
        ]
        self._threads.append(threading.Thread(target=self._beat, name="peer-beat", daemon=True))
        for thread in self._threads:
            thread.start()

    def verdict(self, wait_s: float = 0.0) -> Ending | None:
        """Returns which process is gone, waiting a little for the news; None if all are there."""
        self._known.wait(wait_s)
        return self.ending

    def fail(self, exit_code: int, text: str) -> None:
        """Tells the others that this process ends with an error, and why."""
        text = text[:2000]
        self._done.set()  # What the others do from now on follows from this.
        for peer in self._peers:
            peer.link.send(failed=exit_code, text=text)

    def close(self, wait_s: float = 0.0) -> None:
        """Says goodbye. Process 0 first waits up to `wait_s` until the others have."""
        self._done.set()
        is_first = all(peer.process_id for peer in self._peers)
        until = time.monotonic() + (wait_s if is_first else 0.0)
        while len(self._left) < len(self._peers) and time.monotonic() < until:
            time.sleep(_TICK_S)
        for peer in self._peers:
            peer.link.send(bye=True)
            peer.link.close()

    def _beat(self) -> None:
        while not self._done.wait(min(_BEAT_S, self._peer_s / 4)):
            for peer in self._peers:
                peer.link.send(alive=True)

    def _hear(self, peer: Peer) -> None:
        while True:
            try:
                message = peer.link.receive(self._peer_s)
            except EOFError:
                self._gone(peer, Ending(peer.process_id, f"{peer} is gone: killed, or crashed"))
                return
            if message is None:
                text = f"{peer} has been silent for {self._peer_s:.0f} s"
                self._gone(peer, Ending(peer.process_id, text))
                return
            if "bye" in message:
                self._left.add(peer.process_id)
                return
            if "failed" in message:
                text = f"{peer} ended: {message['text']}"
                self._gone(peer, Ending(peer.process_id, text, int(message["failed"])))
            if "ending" in message:
                self._gone(peer, Ending(**message["ending"]))

    def _gone(self, peer: Peer, ending: Ending) -> None:
        self._left.add(peer.process_id)
        with self._lock:
            if self.ending is not None or self._done.is_set():
                return
            self.ending = ending
        for other in self._peers:
            if other.process_id != ending.process_id:
                other.link.send(ending=dataclasses.asdict(ending))
        self._known.set()
        self._on_ending(ending)
