"""Notices that the machine will be taken away, asked from Google Compute Engine's metadata server.

A machine about to be stopped or preempted says so under `instance/maintenance-event` and
`instance/preempted` some time before SIGTERM comes: an hour for planned maintenance of a TPU host,
half a minute for a spot machine. Elsewhere there is no such server and nothing is asked.
"""

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

# Google's client libraries take the server's address from this variable too.
_ADDRESS_VARIABLE = "GCE_METADATA_HOST"
_ADDRESS = "metadata.google.internal"
_PRODUCT_FILE = "/sys/class/dmi/id/product_name"
_TIMEOUT_S = 2.0


def metadata_address() -> str | None:
    """Returns the host (and port) of the metadata server, or None where there is none.

    Told from the machine's own product name, so nothing goes over the network.
    """
    if address := os.environ.get(_ADDRESS_VARIABLE):
        return address
    try:
        with open(_PRODUCT_FILE, encoding="utf-8") as file:
            return _ADDRESS if "Google" in file.read() else None
    except OSError:
        return None


def notice(address: str) -> str | None:
    """Returns the notice that stands at a metadata server, None where there is none.

    A live migration (`MIGRATE_ON_HOST_MAINTENANCE`) lets the process go on, so it is no notice.
    A server that does not answer has said nothing: it is asked again later.
    """
    event = _read(address, "maintenance-event")
    if event.startswith("TERMINATE"):
        return f"maintenance-event {event}"
    if _read(address, "preempted") == "TRUE":
        return "preempted TRUE"
    return None


def _read(address: str, name: str) -> str:
    request = urllib.request.Request(
        f"http://{address}/computeMetadata/v1/instance/{name}",
        headers={"Metadata-Flavor": "Google"},
    )
    # The server is on this machine's own link: a proxy for the internet is not to be asked.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            return answer.read(200).decode("utf-8", "replace").strip()
    except (OSError, urllib.error.URLError):
        return ""


class MaintenanceWatch:
    """A daemon thread that asks again and again, and tells of the first notice."""

    def __init__(
        self, tell: Callable[[str], None], address: str | None = None, poll_s: float = 5.0
    ):
        """Starts watching; does nothing where there is no metadata server.

        Args:
          tell: called once with the notice, in the watching thread.
          address: of the server; `metadata_address()` by default.
          poll_s: seconds between two questions.
        """
        self._stop = threading.Event()
        found = address or metadata_address()
        self._thread: threading.Thread | None = None
        if found is not None:
            self._thread = threading.Thread(
                target=self._watch, args=(found, tell, poll_s), name="maintenance", daemon=True
            )
            self._thread.start()

    def _watch(self, address: str, tell: Callable[[str], None], poll_s: float) -> None:
        while not self._stop.is_set():
            if found := notice(address):
                tell(found)
                return
            self._stop.wait(poll_s)

    def close(self) -> None:
        """Stops asking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * _TIMEOUT_S + 1)
