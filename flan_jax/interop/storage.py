"""Local folders and buckets alike: TensorStore's names for them, and output that is whole or gone.

Paths are `etils.epath` paths or URLs such as gs://bucket/folder.
"""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

from etils import epath

from flan_jax.errors import CheckpointError, ConfigError

_BUCKETS = {"gs": "gcs", "s3": "s3"}


def kvstore(path: epath.PathLike) -> dict[str, Any]:
    """Returns TensorStore's description of a folder or file.

    Raises:
      CheckpointError: the URL is of a kind TensorStore is not told about here.
    """
    text = str(path)
    scheme, found, rest = text.partition("://")
    if not found:
        return {"driver": "file", "path": str(epath.Path(text).resolve())}
    if scheme not in _BUCKETS:
        raise CheckpointError(
            f"{text} cannot be read: expected a local path, gs:// or s3://. Copy it there."
        )
    bucket, _, key = rest.partition("/")
    return {"driver": _BUCKETS[scheme], "bucket": bucket, "path": key}


def is_remote(path: epath.PathLike) -> bool:
    """Whether a path is a URL."""
    return "://" in str(path)


def check_new(directory: epath.PathLike, flag: str) -> epath.Path:
    """Returns the path of a folder that does not exist yet or is empty.

    Raises:
      ConfigError: it holds something.
    """
    path = epath.Path(directory)
    if path.exists() and (not path.is_dir() or any(True for _ in path.iterdir())):
        content = sorted(p.name for p in path.iterdir())[:5] if path.is_dir() else ["a file"]
        raise ConfigError(
            f"{flag} {path} exists and holds {', '.join(content)}. Nothing is overwritten: name a "
            "new folder."
        )
    return path


@contextlib.contextmanager
def written_whole(directory: epath.PathLike) -> Iterator[epath.Path]:
    """Yields a folder to write to, which takes its name only when the block ends without an error.

    After an error nothing is left. A killed process leaves a folder whose name says that it is not
    finished. Object stores cannot rename: there files are written in place, and callers write last
    the file without which nothing reads the rest.

    Args:
      directory: a folder that does not exist or is empty, see `check_new`.

    Raises:
      CheckpointError: it cannot be written.
    """
    final = epath.Path(directory)
    if is_remote(final):
        place = final
    else:
        final = final.resolve()
        place = final.with_name(f"{final.name}.unfinished-{uuid.uuid4().hex[:8]}")
    place.mkdir(parents=True, exist_ok=True)
    try:
        yield place
        if place != final:
            if final.exists():
                final.rmdir()
            place.rename(final)
    except BaseException as error:
        with contextlib.suppress(OSError):
            place.rmtree(missing_ok=True)
        if isinstance(error, OSError):
            raise CheckpointError(f"{final} could not be written: {error}.") from error
        raise


def dotted(name: str) -> str:
    """Returns a '/'-joined name with dots."""
    return name.replace("/", ".")
