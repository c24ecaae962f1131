"""Documents of local text files as a seqio source, which can be left and continued at any place.

| file     | a document is                                                          |
|----------|------------------------------------------------------------------------|
| `.txt`   | a block of lines between blank lines, or a line (`text_documents`)      |
| `.jsonl` | the "text" of a line's JSON object; other keys are ignored              |

A `.txt` file of blocks is read whole, so a large corpus is better kept in many files. All files
are of one kind.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import seqio
import tensorflow as tf

from flan_jax.errors import ConfigError, DataError, suggest

Documents = Literal["lines", "blocks"]

_KINDS = (".txt", ".jsonl")
_BREAK = "\x00"


def text_source(
    files: Mapping[str, str | Sequence[str]], documents: Documents
) -> seqio.FileDataSource:
    """Returns the source of `{'text': string}` rows, one a document, none of them empty.

    Args:
      files: split -> path or pattern ('/data/*.jsonl'), or several.
      documents: what a document of a `.txt` file is.

    Raises:
      ConfigError: no files are given.
      DataError: a pattern matches no file, or a split's files are of no kind or of two.
    """
    if not files:
        raise ConfigError(
            "tasks.Pretraining.text_files is empty, so there is no text to read. Give files by "
            'split: --gin.tasks.Pretraining.text_files=\'{"train": "/data/train*.txt", '
            '"validation": "/data/validation.txt"}\'.'
        )
    found = {split: _find(split, patterns) for split, patterns in files.items()}
    kinds = {_kind(split, paths) for split, paths in found.items()}
    if len(kinds) > 1:
        raise DataError(
            f"tasks.Pretraining.text_files names files of the kinds {sorted(kinds)}; use one kind."
        )
    (kind,) = kinds
    readers = {
        ".jsonl": _read_json_lines,
        ".txt": _read_blocks if documents == "blocks" else _read_lines,
    }
    return seqio.FileDataSource(readers[kind], found)


def _find(split: str, patterns: str | Sequence[str]) -> list[str]:
    """Returns the files of a split, sorted."""
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    found: set[str] = set()
    for pattern in patterns:
        matches = tf.io.gfile.glob(os.path.expanduser(pattern))
        if not matches:
            folder, name = os.path.split(pattern)
            names = tf.io.gfile.listdir(folder or ".") if tf.io.gfile.isdir(folder or ".") else []
            held = (
                f" The folder holds {sorted(names)[:5]}." if names else " There is no such folder."
            )
            raise DataError(
                f"tasks.Pretraining.text_files[{split!r}]: no file matches {pattern!r}."
                + (suggest(name, names) or held)
            )
        found.update(matches)
    return sorted(found)


def _kind(split: str, paths: Sequence[str]) -> str:
    kinds = {os.path.splitext(path)[1]: path for path in paths}
    unknown = [path for kind, path in kinds.items() if kind not in _KINDS]
    if unknown or len(kinds) > 1:
        raise DataError(
            f"tasks.Pretraining.text_files[{split!r}] names files such as "
            f"{sorted(unknown or kinds.values())}; give files of one kind, {' or '.join(_KINDS)}."
        )
    return next(iter(kinds))


def _read_lines(path: tf.Tensor) -> tf.data.Dataset:
    return _rows(tf.data.TextLineDataset(path))


def _read_blocks(path: tf.Tensor) -> tf.data.Dataset:
    text = tf.strings.regex_replace(tf.io.read_file(path), r"\r\n?", "\n")
    text = tf.strings.regex_replace(text, r"\n[ \t]*\n\s*", _BREAK)
    return _rows(tf.data.Dataset.from_tensor_slices(tf.strings.split(text, _BREAK)))


def _read_json_lines(path: tf.Tensor) -> tf.data.Dataset:
    def parse(number: tf.Tensor, line: tf.Tensor) -> tf.Tensor:
        # Stateless, so that TensorFlow can write the position of the stream.
        text = tf.numpy_function(_parse, [path, number, line], tf.string, stateful=False)
        return tf.ensure_shape(text, [])

    lines = tf.data.TextLineDataset(path).enumerate(1)
    return _rows(lines.filter(lambda _, line: tf.strings.length(line) > 0).map(parse))


def _parse(path: bytes, number: int, line: bytes) -> bytes:
    place = f"{path.decode()}, line {number}"
    try:
        record: Any = json.loads(line)
    except ValueError as error:
        raise DataError(f"{place}, is not JSON: {error}.") from error
    text = record.get("text") if isinstance(record, dict) else None
    if not isinstance(text, str):
        held = sorted(record) if isinstance(record, dict) else type(record).__name__
        raise DataError(f'{place}: expected an object with a text "text", found {held}.')
    return text.encode("utf-8")


def _rows(texts: tf.data.Dataset) -> tf.data.Dataset:
    rows = texts.map(lambda text: {"text": tf.strings.strip(text)})
    return rows.filter(lambda row: tf.strings.length(row["text"]) > 0)
