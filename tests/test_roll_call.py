"""Processes that gather and watch each other, played by threads over real sockets."""

import argparse
import json
import socket
import threading
import time

import pytest

from flan_jax import multihost, roll_call
from flan_jax.errors import ConfigError, HostsMissingError
from flan_jax.peers import Ending, Watch
from flan_jax.roll_call import Member, Patience

_QUICK = Patience(report_s=0.3, start_s=1.0, peer_s=30.0)
_COMMAND = "run --process_id={process_id}"


def _address() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


class Players:
    """Calls `gather` in one thread per member."""

    def __init__(self, *members: Member, patience: Patience = _QUICK):
        self.peers: dict[int, list] = {}
        self.errors: dict[int, Exception] = {}
        self.said: dict[int, list[str]] = {i: [] for i, _ in enumerate(members)}
        self._threads = [
            threading.Thread(target=self._play, args=(i, member, patience), daemon=True)
            for i, member in enumerate(members)
        ]
        for thread in self._threads:
            thread.start()

    def _play(self, index: int, member: Member, patience: Patience) -> None:
        try:
            self.peers[index] = roll_call.gather(
                member, patience, _COMMAND, self.said[index].append
            )
        except (ConfigError, HostsMissingError) as error:
            self.errors[index] = error

    def close(self) -> None:
        for peers in self.peers.values():
            for peer in peers:
                peer.link.close()

    def join(self) -> "Players":
        for thread in self._threads:
            thread.join(timeout=30)
            assert not thread.is_alive()
        return self


def test_all_come_together_and_the_port_is_free_afterwards():
    address = _address()
    patience = Patience(report_s=20, start_s=20)
    played = Players(*(Member(address, 3, i, "x") for i in range(3)), patience=patience).join()
    assert not played.errors
    assert [peer.process_id for peer in played.peers[0]] == [1, 2]
    assert [peer.process_id for peer in played.peers[1]] == [0]
    # JAX's coordinator listens there next, while the connections stay.
    with socket.create_server(("127.0.0.1", int(address.split(":")[1]))):
        pass
    played.close()


def test_the_missing_are_named_by_everyone():
    address = _address()
    played = Players(*(Member(address, 4, i) for i in (0, 2))).join()
    for index in range(2):
        assert isinstance(played.errors[index], HostsMissingError)
        for text in (str(played.errors[index]), played.said[index][-1]):
            assert "expected 4 processes, saw 2" in text
            assert "missing: process 1, process 3; here: 0 (" in text
            assert "run --process_id=1" in text
    assert any("process 2 (" in line and "2 of 4" in line for line in played.said[0])


def test_no_first_process_is_said_with_its_address():
    address = _address()
    played = Players(Member(address, 2, 1)).join()
    text = str(played.errors[0])
    assert f"cannot reach process 0 at {address}" in text and "refused" in text
    assert "run --process_id=0" in text


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (Member("", 3, 1), "expects 3 processes"),
        (Member("", 2, 0), "cannot listen on port"),
        (Member("", 2, 1, "another"), "another configuration or version"),
    ],
)
def test_processes_that_do_not_fit_are_refused(other, problem):
    address = _address()
    first = Players(Member(address, 2, 0), patience=Patience(report_s=9, start_s=9))
    time.sleep(0.3)
    second = Players(Member(address, other.num_processes, other.process_id, other.digest)).join()
    assert problem in str(second.errors[0])
    if other.process_id:
        assert problem in str(first.join().errors[0])


def test_two_with_one_number_are_both_named():
    address = _address()
    long = Patience(report_s=9, start_s=9)
    played = Players(Member(address, 3, 0), Member(address, 3, 1), patience=long)
    time.sleep(0.8)
    second = Players(Member(address, 3, 1)).join()
    assert "call themselves process 1" in str(second.errors[0])
    assert len(played.join().errors) == 2


def test_strangers_on_the_port_change_nothing():
    address = _address()
    host, port = address.split(":")
    first = Players(Member(address, 2, 0), patience=Patience(report_s=9, start_s=9))
    time.sleep(0.3)
    for noise in (b"", b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b"{}\n"):
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(noise)
    second = Players(Member(address, 2, 1)).join()
    assert not second.errors and not first.join().errors
    first.close()
    second.close()


def _watched(count: int, peer_s: float = 30.0):
    address = _address()
    long = Patience(report_s=20, start_s=20)
    played = Players(*(Member(address, count, i) for i in range(count)), patience=long).join()
    endings: dict[int, list[Ending]] = {i: [] for i in range(count)}
    watches = {i: Watch(played.peers[i], peer_s, endings[i].append) for i in range(count)}
    return played, watches, endings


def test_a_lost_process_is_known_to_all_at_once():
    played, watches, endings = _watched(3)
    watches[2]._done.set()
    for peer in played.peers[2]:  # What the kernel does for a killed process.
        peer.link.close()
    for i in (0, 1):
        ending = watches[i].verdict(5)
        assert ending is not None and ending.process_id == 2 and ending.exit_code is None
        assert "is gone" in ending.text
        time.sleep(0.1)
        assert endings[i] == [ending]
    played.close()


def test_a_silent_process_is_lost_after_a_while():
    played, watches, _ = _watched(2, peer_s=0.6)
    assert watches[0].verdict(1.5) is None  # Both say that they live.
    watches[1]._done.set()  # It stops saying so.
    ending = watches[0].verdict(5)
    assert ending is not None and "silent for 1 s" in ending.text
    played.close()


def test_a_failure_reaches_all_with_its_exit_code_and_no_second_one_follows():
    played, watches, endings = _watched(3)
    watches[1].fail(3, "DataError: no rows")
    for i in (0, 2):
        ending = watches[i].verdict(5)
        assert ending == Ending(1, ending.text, 3) and "no rows" in ending.text
    watches[0].close()
    watches[2].close()
    assert watches[1].verdict(0.3) is None and endings[1] == []
    played.close()


def test_a_common_end_is_no_loss():
    _, watches, endings = _watched(3)
    threads = [threading.Thread(target=watch.close, args=(5,)) for watch in watches.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(0.2)
    assert endings == {0: [], 1: [], 2: []}


def _args(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    multihost.add_arguments(parser)
    return parser.parse_args(words)


def test_who_this_process_is(monkeypatch):
    for name in multihost._VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    assert multihost.find_member(_args()) is None
    flags = ("--coordinator_address=a:1", "--num_processes=4")
    member = multihost.find_member(_args(*flags, "--process_id=3"), "config")
    assert (member.address, member.num_processes, member.process_id) == ("a:1", 4, 3)
    assert member.digest != multihost.find_member(_args(*flags, "--process_id=3")).digest
    monkeypatch.setenv("JAX_PROCESS_ID", "2")
    assert multihost.find_member(_args(*flags)).process_id == 2
    alone = _args(flags[0], "--num_processes=1", "--process_id=0")
    assert multihost.find_member(alone) is None
    with pytest.raises(ConfigError, match="from 0 to one less"):
        multihost.find_member(_args(*flags, "--process_id=4"))
    with pytest.raises(ConfigError, match="HOST:PORT"):
        roll_call.gather(Member("nowhere", 2, 0), _QUICK, "", print)


def test_without_addresses_or_a_cluster_the_flags_are_named(monkeypatch):
    monkeypatch.setattr(multihost, "_detect", lambda given: dict.fromkeys(given))
    monkeypatch.delenv("JAX_PROCESS_ID", raising=False)
    with pytest.raises(ConfigError, match=r"--process_id \(or JAX_PROCESS_ID\)"):
        multihost.find_member(_args("--coordinator_address=a:1", "--num_processes=2"))


def test_a_cluster_tells_all_addresses(monkeypatch):
    # Slurm's variables, as JAX reads them: what we call is private to JAX and may change.
    for name in multihost._VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    slurm = {"JOB_ID": "71", "NTASKS": "4", "PROCID": "2", "LOCALID": "0"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[1-4]")
    member = multihost.find_member(_args("--multihost"))
    assert (member.num_processes, member.process_id) == (4, 2)
    assert member.address.startswith("node1:")


def test_the_command_for_another_process(monkeypatch):
    words = ["flan-jax", "train", "--gin.X='a b'", "--process_id", "2", "--model_dir=/d"]
    monkeypatch.setattr("sys.argv", words)
    shown = multihost._command()
    assert "--process_id {process_id} --model_dir=/d" in shown and "2" not in shown


def test_messages_of_any_kind_survive_a_slow_line():
    server = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    link = roll_call.Link(accepted)
    sender.sendall(b'{"a": ')
    assert link.receive(0.05) is None
    sender.sendall(json.dumps("ü\n").encode() + b'}\n{"b": 1}\n')
    assert link.receive(5) == {"a": "ü\n"} and link.receive(5) == {"b": 1}
    sender.sendall(b"x" * 70_000)
    with pytest.raises(EOFError):
        link.receive(5)
    for each in (sender, accepted, server):
        each.close()
