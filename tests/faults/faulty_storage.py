"""Storage that fails on purpose, below everything that goes through `etils.epath`.

Orbax and flan-jax make directories, rename, list and read through it. TensorStore writes arrays
from C++ and is met with limits of the operating system instead (`file_size_limit`).
"""

import contextlib
import errno
import os
import resource
import signal
import time
from collections.abc import Iterator

from etils.epath import backend

OPERATIONS = ("open", "listdir", "makedirs", "mkdir", "rename", "replace", "stat")


class FaultyStorage:
    """Fails chosen operations under one folder.

    Attributes:
      failures: how many operations were refused.
    """

    def __init__(self, monkeypatch, root):
        self._root = os.fspath(root)
        self._code = errno.EIO
        self._left = 0.0
        self._operations: tuple[str, ...] = ()
        self._containing = ""
        self._delay_s = 0.0
        self.failures = 0
        for name in OPERATIONS:
            real = getattr(backend._OsPathBackend, name)
            monkeypatch.setattr(backend._OsPathBackend, name, self._guarded(name, real))

    def fail(self, *operations, code=errno.EIO, times=float("inf"), containing=""):
        """From now on these fail so many times where the path contains a text."""
        self._operations, self._code, self._left = operations, code, times
        self._containing = containing

    def slow(self, *operations, delay_s):
        """From now on these take this much longer."""
        self._operations, self._delay_s = operations, delay_s

    def mend(self):
        self._left, self._delay_s = 0, 0.0

    def _guarded(self, name, real):
        def operation(this, path, *args, **kwargs):
            text = os.fspath(path)
            if name in self._operations and text.startswith(self._root):
                time.sleep(self._delay_s)
                if self._left > 0 and self._containing in text:
                    self._left -= 1
                    self.failures += 1
                    raise OSError(self._code, os.strerror(self._code), text)
            return real(this, path, *args, **kwargs)

        return operation


@contextlib.contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond a size: C++ code meets it as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
