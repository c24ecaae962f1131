"""What is known of task files without reading them again: a small cache in the user's folder.

A line of JSON for each fact: [path, size, mtime_ns, what, value]. A file that has changed has other
keys, so its old facts are never used; lines that make no sense are passed over. Where the folder
cannot be written, facts last as long as the process.
"""

import json
import logging
import os
import pathlib
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

# Part of every key: what is cached, and how it is computed, may change with the code.
_VERSION = 1


def cache_folder() -> pathlib.Path:
    """Returns $XDG_CACHE_HOME/flan_jax, or ~/.cache/flan_jax."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(base) if base else pathlib.Path.home() / ".cache") / "flan_jax"


class FileIndex:
    """Facts about files, by (path, size, mtime, name of the fact).

    Attributes:
      only_remembers: says that no example depends on what is in here.
    """

    only_remembers = True

    def __init__(self, path: pathlib.Path | None = None):
        """Reads nothing yet.

        Args:
          path: of the cache; default `cache_folder()`/super_ni_index.jsonl.
        """
        self.path = cache_folder() / "super_ni_index.jsonl" if path is None else path
        self._known: dict[tuple[Any, ...], Any] | None = None

    def get(self, path: pathlib.Path, what: str, compute: Callable[[], Any]) -> Any:
        """Returns a JSON-able fact of a file: as cached for the file as it is now, or computed.

        Errors of `compute` pass through, and are not cached.
        """
        known = self._read()
        stat = path.stat()
        key = (_VERSION, str(path.resolve()), stat.st_size, stat.st_mtime_ns, what)
        if key not in known:
            known[key] = compute()
            self._append([*key, known[key]])
        return known[key]

    def _read(self) -> dict[tuple[Any, ...], Any]:
        if self._known is None:
            self._known = {}
            try:
                lines = self.path.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError):
                lines = []
            for line in lines:
                try:
                    *key, value = json.loads(line)
                    self._known[tuple(key)] = value
                except (ValueError, TypeError):
                    continue
        return self._known

    def _append(self, entry: list[Any]) -> None:
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # One write of a short line at the end: processes may share the file.
            with self.path.open("ab", buffering=0) as file:
                file.write(line.encode("utf-8"))
        except OSError as error:
            logger.debug("facts of task files are not kept, %s: %s", self.path, error)
