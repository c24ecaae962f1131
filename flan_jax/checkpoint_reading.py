"""Reading from storage that may fail for a moment: the same question again before giving up.

Network file systems and buckets answer now and then with an error that is gone a second later.
Missing files are an answer, not a failure. Rights that lack do not come back by asking.
"""

import errno
import time
import zlib
from collections.abc import Callable
from typing import TypeVar

from etils import epath

from flan_jax.errors import StorageError

_WAITS_S = (0.5, 2.0, 8.0)
_BLOCK_BYTES = 1 << 24
_RIGHTS = (errno.EACCES, errno.EPERM)
_T = TypeVar("_T")


def retried(read: Callable[[], _T], what: object) -> _T:
    """Returns what `read()` returns, asked again after 0.5, 2 and 8 s where it fails.

    Args:
      read: reads something.
      what: is named in the error.

    Raises:
      FileNotFoundError, NotADirectoryError: at once, as from `read`.
      StorageError: this process lacks the right to read.
      OSError: the last one of `read`.
    """
    for wait_s in (*_WAITS_S, None):
        try:
            return read()
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            if error.errno in _RIGHTS:
                raise StorageError(
                    f"{what} may not be read: {error}. Mend the rights, and start the same command "
                    "again; nothing was changed."
                ) from error
            if wait_s is None:
                raise
            time.sleep(wait_s)
    raise AssertionError("the last turn returns or raises")


def names(directory: epath.Path) -> list[str]:
    """Returns the names in a directory.

    Raises:
      StorageError: it cannot be listed, which is not the same as empty.
    """
    try:
        return retried(lambda: [path.name for path in directory.iterdir()], directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(
            f"{directory} cannot be listed: {error}. Mend the storage, and start the same command "
            "again; nothing was changed."
        ) from error


def text(path: epath.Path) -> str:
    """Returns the content of a text file; errors as of `retried`, ValueError if it is no text."""
    return retried(path.read_text, path)


def size_bytes(path: epath.Path) -> int:
    """Returns the size of a file in bytes; errors as of `retried`."""
    return retried(lambda: path.stat().length, path)


def crc32(path: epath.Path) -> int:
    """Returns the CRC-32 of a file, read in blocks; errors as of `retried`."""

    def read() -> int:
        crc = 0
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                crc = zlib.crc32(block, crc)
        return crc

    return retried(read, path)
