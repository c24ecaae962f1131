"""Hashes of what a task's examples depend on, so that a change of it is noticed.

Followed are the preprocessors' code, what it encloses and refers to in the modules of this project
and of yours, the values they hold, the vocabularies' pieces, and of the source its files' sizes and
times, or its rows. Not followed is the code of installed libraries; their versions are in the
manifest. An object that only remembers what it could find out again says so by a class attribute
`only_remembers = True` and is left out.
"""

import dataclasses
import enum
import functools
import hashlib
import importlib.util
import os
import pathlib
import sys
import sysconfig
import types
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import seqio
import tensorflow as tf
from etils import epath

from flan_jax.data.config import DatasetConfig
from flan_jax.data.prepared.manifest import FORMAT
from flan_jax.data.tokenizer_files import identity

# Rows looked at of a source that is neither files nor columns in memory.
_PROBED_ROWS = 32
_LIBRARIES = tuple(
    os.path.realpath(sysconfig.get_paths()[name]) for name in ("stdlib", "purelib", "platlib")
)


def pipeline_of(
    task: seqio.Task, cfg: DatasetConfig, renderings: int, shard_rows: int, hasher: "Hasher"
) -> dict[str, str]:
    """Returns the hash of each part that decides a task's prepared files.

    Args:
      task: the task.
      cfg: split, lengths and seed.
      renderings: of each row.
      shard_rows: source rows of a shard.
      hasher: kept from task to task, since they share much.
    """
    settings = {
        "format": FORMAT,
        "split": cfg.split,
        "lengths": dict(cfg.task_feature_lengths),
        "seed": cfg.seed,
        "renderings": renderings,
        "shard_rows": shard_rows,
        "use_cached": cfg.use_cached,
    }
    return {
        "settings": hasher.hash(settings),
        "source": _source(task, cfg, hasher),
        "steps": hasher.hash(list(task.preprocessors)),
        "vocabulary": hasher.hash(dict(task.output_features)),
    }


def combined(parts: Mapping[str, str]) -> str:
    """Returns one hash for all parts."""
    text = "\n".join(f"{name} {parts[name]}" for name in sorted(parts))
    return hashlib.sha256(text.encode()).hexdigest()


def changed(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Returns the names of the parts that differ."""
    return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


def _source(task: seqio.Task, cfg: DatasetConfig, hasher: "Hasher") -> str:
    source: Any = task.source
    rows = task.num_input_examples(cfg.split)
    parts: list[Any] = [type(source).__name__, rows]
    if isinstance(source, seqio.TfdsDataSource):
        loader = source.tfds_dataset
        split = loader.builder.info.splits[cfg.split]
        sizes = getattr(split, "shard_lengths", None), getattr(split, "num_bytes", None)
        return hasher.hash([*parts, loader.builder.info.full_name, list(sizes[0] or ()), sizes[1]])
    parts.append(hasher.hash(source))
    if isinstance(source, seqio.FileDataSource):
        files = [epath.Path(path) for path in source.list_shards(cfg.split)]
        parts += [[str(file), *_state(file)] for file in files]
    elif hasattr(source, "columns"):
        parts.append(hasher.hash(dict(source.columns(cfg.split))))
    elif hasattr(source, "take"):
        number_B = np.unique(np.linspace(0, max(0, (rows or 1) - 1), _PROBED_ROWS).astype(np.int64))
        parts.append(hasher.hash(dict(source.take(cfg.split, tf.constant(number_B)))))
    else:
        dataset = source.get_dataset(split=cfg.split, shuffle=False).take(_PROBED_ROWS)
        parts.append(hasher.hash(list(dataset.as_numpy_iterator())))
    return hasher.hash(parts)


def _state(path: Any) -> tuple[int, float]:
    stat = path.stat()
    return stat.length, stat.mtime


class Hasher:
    """Hashes nested Python values by content; keeps what it has hashed."""

    def __init__(self):
        self._known: dict[int, str] = {}
        # What is hashed stays alive, so that no id is used again.
        self._kept: list[Any] = []

    def hash(self, value: Any) -> str:
        """Returns the hash of a value, in hexadecimal."""
        plain = _plain(value)
        if plain is not None:
            return _digest([plain])
        known = self._known.get(id(value))
        if known is not None:
            return known
        self._kept.append(value)
        # An object that holds itself counts by its type there.
        self._known[id(value)] = _digest(["cycle", type(value).__qualname__])
        self._known[id(value)] = found = _digest(self._parts(value))
        return found

    def _each(self, values: Iterable[Any]) -> list[str]:
        return [self.hash(value) for value in values]

    def _parts(self, value: Any) -> list[str]:
        kind = type(value).__qualname__
        if getattr(value, "only_remembers", False):
            return ["remembers", kind]
        if isinstance(value, Mapping):
            keyed = {self.hash(key): self.hash(each) for key, each in value.items()}
            return [kind, *(f"{key} {keyed[key]}" for key in sorted(keyed))]
        if isinstance(value, list | tuple):
            if value and all(type(each) is str for each in value):
                return [kind, "texts", str(len(value)), "\x1f".join(value)]
            return [kind, *self._each(value)]
        if isinstance(value, set | frozenset):
            return [kind, *sorted(self._each(value))]
        if isinstance(value, pathlib.PurePath):
            path = epath.Path(value)
            return ["path", str(value), *(map(str, _state(path)) if path.is_file() else ())]
        array = _array(value)
        if array is not None:
            if array.dtype == object:
                return ["objects", str(array.shape), *self._each(array.reshape(-1).tolist())]
            content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
            return ["array", array.dtype.str, str(array.shape), content]
        if isinstance(value, tf.RaggedTensor):
            return ["ragged", self.hash(value.values), self.hash(value.row_splits)]
        if isinstance(value, seqio.Vocabulary):
            return ["vocabulary", *self._each(sorted(identity(value).items()))]
        return self._code_parts(value, kind)

    def _code_parts(self, value: Any, kind: str) -> list[str]:
        if isinstance(value, functools.partial):
            return ["partial", *self._each([value.func, value.args, value.keywords])]
        if isinstance(value, types.MethodType):
            return ["method", self.hash(value.__func__), self.hash(value.__self__)]
        wrapped = getattr(value, "__wrapped__", None) or getattr(value, "python_function", None)
        if wrapped is not None and not isinstance(value, types.FunctionType | type):
            return ["wrapped", self.hash(wrapped)]
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.CodeType):
            code = value.co_code, value.co_names, value.co_varnames, value.co_consts
            return ["code", *self._each(code)]
        if isinstance(value, type):
            return [f"{value.__module__}.{value.__qualname__}", *self._class(value)]
        if isinstance(value, types.ModuleType | types.BuiltinFunctionType):
            return [kind, getattr(value, "__name__", "")]
        if isinstance(value, enum.Enum):
            return [kind, value.name]
        if isinstance(value, types.CellType):
            return self._cell(value)
        return [self.hash(type(value)), *self._fields(value)]

    def _function(self, value: types.FunctionType) -> list[str]:
        name = f"{value.__module__}.{value.__qualname__}"
        given = self._each([value.__closure__ or (), value.__defaults__, value.__kwdefaults__])
        if not _is_own(value.__module__):
            return ["function", name, *given]
        used = [
            f"{name} {self.hash(value.__globals__[name])}"
            for name in sorted(_names(value.__code__))
            if name in value.__globals__ and _is_followed(value.__globals__[name])
        ]
        return ["function", name, self.hash(value.__code__), *given, *used]

    def _class(self, value: type) -> list[str]:
        if not _is_own(value.__module__):
            return []
        bases = [base for base in value.__bases__ if base is not object]
        code = [
            f"{name} {self.hash(getattr(each, '__func__', each))}"
            for name, each in sorted(vars(value).items())
            if isinstance(each, types.FunctionType | staticmethod | classmethod)
        ]
        return [*self._each(bases), *code]

    def _cell(self, cell: types.CellType) -> list[str]:
        try:
            return ["cell", self.hash(cell.cell_contents)]
        except ValueError:  # Not yet filled.
            return ["cell"]

    def _fields(self, value: Any) -> list[str]:
        if dataclasses.is_dataclass(value):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        else:
            fields = dict(getattr(value, "__dict__", {}))
        kept = {
            name: each
            for name, each in fields.items()
            # What is computed at first use is there or not.
            if not isinstance(getattr(type(value), name, None), functools.cached_property)
        }
        return [f"{name} {self.hash(kept[name])}" for name in sorted(kept)]


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def _plain(value: Any) -> str | None:
    """A value that has no parts, as text; a text that names a file with the file's state."""
    if isinstance(value, str):
        if value.startswith(os.sep) and "\n" not in value and os.path.isfile(value):
            return f"file {value} {_state(epath.Path(value))}"
        return f"str {value}"
    if value is None or isinstance(value, bool | int | float | complex | bytes):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, tf.DType | np.dtype):
        return f"dtype {value.name}"
    return None


def _array(value: Any) -> np.ndarray | None:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, np.generic):
        return np.asarray(value)
    if isinstance(value, tf.Tensor) and hasattr(value, "numpy"):
        return np.asarray(value.numpy())
    return None


def _names(code: types.CodeType) -> set[str]:
    """Global names that a function, and the functions inside it, refer to."""
    inner = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _is_followed(value: Any) -> bool:
    """Whether a global counts by its content: code of ours and constants, not caches or modules."""
    if isinstance(value, types.FunctionType | type):
        return _is_own(value.__module__)
    return not isinstance(value, types.ModuleType | dict | list | set) and not _is_library(value)


def _is_library(value: Any) -> bool:
    return (
        _plain(value) is None
        and not _is_own(type(value).__module__)
        and not isinstance(value, tuple | frozenset | Mapping)
    )


@functools.cache
def _is_own(module: str) -> bool:
    """Whether a module is none of the installed libraries: this package, or a user's."""
    if module.partition(".")[0] in ("flan_jax", "tasks"):
        return True
    found = sys.modules.get(module)
    place = getattr(found, "__file__", None)
    if place is None:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError):
            spec = None
        place = None if spec is None else spec.origin
    if place is None or not os.path.isfile(place):
        return module == "__main__"
    return not os.path.realpath(place).startswith(_LIBRARIES)
