import http.server
import os
import signal
import threading
import time

import pytest

from flan_jax import maintenance, preemption


def _send(number):
    os.kill(os.getpid(), number)
    time.sleep(0.01)


@pytest.fixture
def flag(monkeypatch):
    monkeypatch.delenv("GCE_METADATA_HOST", raising=False)
    made = preemption.StopFlag()
    yield made
    made.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_asks_for_a_stop_and_handlers_come_back(number):
    before = signal.getsignal(number)
    flag = preemption.StopFlag()
    assert not flag.reached(1) and flag.reason is None
    _send(number)
    assert flag.reached(2)
    assert flag.reason == signal.Signals(number).name
    flag.close()
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_second_signal_stops_at_once_with_a_shells_code(flag, number, code):
    _send(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as caught:
        _send(number)
    assert caught.value.exit_code == code


def test_a_schedulers_warning_twice_is_still_one_warning(flag):
    _send(signal.SIGUSR1)
    _send(signal.SIGUSR1)
    assert flag.reason == "SIGUSR1"


# ------------------------------------------------------------- the metadata server


class Metadata(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        assert self.headers["Metadata-Flavor"] == "Google"
        self.server.asked.append(self.path)
        name = self.path.removeprefix("/computeMetadata/v1/instance/")
        text = self.server.values.get(name)
        self.send_response(200 if text else 503)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    made.values = {"maintenance-event": "NONE", "preempted": "FALSE"}
    made.asked = []
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"maintenance-event": "NONE", "preempted": "FALSE"}, None),
        ({"maintenance-event": "MIGRATE_ON_HOST_MAINTENANCE", "preempted": "FALSE"}, None),
        (
            {"maintenance-event": "TERMINATE_ON_HOST_MAINTENANCE"},
            "maintenance-event TERMINATE_ON_HOST_MAINTENANCE",
        ),
        ({"maintenance-event": "NONE", "preempted": "TRUE"}, "preempted TRUE"),
        ({}, None),  # It answers 503: nothing is known, so nothing is done.
    ],
)
def test_what_counts_as_a_notice(server, values, expected):
    server.values = values
    assert maintenance.notice(f"127.0.0.1:{server.server_port}") == expected


def test_a_notice_during_the_run_asks_for_a_stop(server):
    flag = preemption.StopFlag(f"127.0.0.1:{server.server_port}", poll_s=0.01)
    try:
        deadline = time.monotonic() + 5
        while len(server.asked) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not flag.reached(1)
        server.values["preempted"] = "TRUE"
        while not flag.reached(2) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert flag.reason == "preempted TRUE"
    finally:
        flag.close()


def test_nothing_is_asked_away_from_google(monkeypatch, tmp_path):
    monkeypatch.delenv("GCE_METADATA_HOST", raising=False)
    product = tmp_path / "product_name"
    monkeypatch.setattr(maintenance, "_PRODUCT_FILE", str(product))
    assert maintenance.metadata_address() is None
    product.write_text("Some Laptop\n")
    assert maintenance.metadata_address() is None
    product.write_text("Google Compute Engine\n")
    assert maintenance.metadata_address() == "metadata.google.internal"
    monkeypatch.setenv("GCE_METADATA_HOST", "10.0.0.1:80")
    assert maintenance.metadata_address() == "10.0.0.1:80"


def test_a_server_that_is_not_there_says_nothing():
    assert maintenance.notice("127.0.0.1:9") is None
