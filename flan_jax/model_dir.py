"""MODEL_DIR as a place: whether a run may write there, and whether it is still the same one."""

import contextlib
import os
import pwd
import uuid

from etils import epath

from flan_jax.errors import ConfigError, StorageError


def identity(path: epath.PathLike) -> tuple[int, int] | None:
    """Returns what tells a local directory from another of the same name; None for a URL.

    Raises:
      StorageError: there is no such directory.
    """
    text = os.fspath(path)
    if "://" in text:
        return None
    try:
        found = os.stat(text)
    except OSError as error:
        raise StorageError(f"MODEL_DIR {text} is gone: {error}.") from error
    return found.st_dev, found.st_ino


def check_same(path: epath.PathLike, expected: tuple[int, int] | None) -> None:
    """Raises StorageError where a directory was replaced, as by what lies below a lost mount.

    Args:
      path: MODEL_DIR.
      expected: its `identity` from before.
    """
    if identity(path) != expected:
        raise StorageError(
            f"MODEL_DIR {path} is another directory than when the run began: what was mounted "
            "there is gone, and what is written now would be lost with it. Mount it again and "
            "start the same command again."
        )


def check_writable(model_dir: str | os.PathLike[str]) -> epath.Path:
    """Makes MODEL_DIR if needed and shows that this process can write to it.

    A file is written, read back and removed, so quotas, read-only mounts and missing bucket rights
    come up before any work is done.

    Args:
      model_dir: absolute path, or a URL such as gs://bucket/run.

    Returns:
      The path.

    Raises:
      ConfigError: the path is not absolute, is a file, or cannot be written.
    """
    text = os.fspath(model_dir)
    path = epath.Path(text)
    if not text or not ("://" in text or os.path.isabs(text)):
        raise ConfigError(
            f"MODEL_DIR must be an absolute path, found {text!r}. Hosts of a pod and restarts have "
            f"other working directories. Here it would be {os.path.abspath(text)!r}."
        )
    if path.exists() and not path.is_dir():
        raise ConfigError(f"MODEL_DIR {text} is a file. Give a directory, or remove the file.")
    # Every process of every host tries, each with its own file.
    probe = path / f".write_test_{uuid.uuid4().hex}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_text(text)
        if probe.read_text() != text:
            raise OSError("a test file read back differs from what was written")
        probe.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
        raise ConfigError(f"MODEL_DIR {text} is not writable: {error}.{_rights(text)}") from error
    return path


def _rights(text: str) -> str:
    """Explains who may write to the nearest existing directory of a local path."""
    if "://" in text:
        return " Check that the account of this machine may write to the bucket."
    place = text
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    state = os.stat(place)
    here = f" {place} belongs to {_user(state.st_uid)} with mode {state.st_mode & 0o777:03o}"
    if os.geteuid() == 0:
        return (
            f"{here}; this process is root, so the file system itself refuses (read-only mount, "
            "NFS that maps root to nobody, or no space). Choose a directory on another one."
        )
    if state.st_uid != os.geteuid():
        return (
            f"{here}; this process is {_user(os.geteuid())}. A run started by another user (often "
            "root in a container) may have made it. Choose another MODEL_DIR, or change its owner: "
            f"chown -R {os.geteuid()} {place}"
        )
    return f"{here}; this process is {_user(os.geteuid())}."


def _user(uid: int) -> str:
    """Returns `name (uid)`; container users often have no name."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return f"user {uid}"
