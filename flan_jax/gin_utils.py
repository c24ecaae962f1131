"""Strict gin: a configuration is checked as a whole, applied, written out, and compared on resume.

    parse(["models/t5_1_1_small.gin", "runs/finetune.gin"], ["BATCH_SIZE = 8"])

reports every mistake with its file, line, nearest valid names and fix before TensorFlow is imported
or data are touched.
"""

import hashlib
import importlib
from collections.abc import Iterable, Sequence
from typing import Any

import gin
from etils import epath
from gin import config as gin_config

from flan_jax import gin_check, gin_render, gin_source, gin_trust, redaction
from flan_jax.errors import ConfigError

CONFIG_NAME = "config.gin"
_effective: str | None = None
_consulted: list[str] = []


def mark_root(selector: str) -> None:
    """Says that code looks up `selector` (or a macro, '%NAME') without a reference in gin files."""
    if selector not in _consulted:
        _consulted.append(selector)


def parse(
    gin_files: Sequence[str],
    gin_bindings: Sequence[str] = (),
    search_paths: Sequence[str] = (),
    entry: str = "train_script.train",
    register: Iterable[str] = ("flan_jax.configurables",),
    consulted: Iterable[str] = (),
    trust: gin_trust.Trust = gin_trust.DEFAULT,
) -> str:
    """Checks a configuration, and only if it has no mistake makes it gin's.

    Args:
      gin_files: files in the order they are read; a later one overrides an earlier one.
      gin_bindings: assignments that override all files, e.g. `"BATCH_SIZE = 8"`.
      search_paths: folders searched before the working directory and our `gin_configs`.
      entry: what will be called: one of `gin_check.ENTRY_POINTS` or a macro such as '%MODEL'. What
        it reaches must be complete; what neither it nor an entry point bound in the files reaches
        is a mistake.
      register: modules whose import fills gin's registry.
      consulted: what the caller looks up by itself, as in `mark_root`.
      trust: whether files may name modules to import, see `gin_trust`.

    Returns:
      The effective configuration, see `effective_config_str`.

    Raises:
      ConfigError: lists all mistakes found.
    """
    global _effective
    for module in register:
        importlib.import_module(module)
    source = gin_source.read(gin_files, gin_bindings, search_paths)
    permit = gin_trust.permit(trust, source)
    checker = gin_check.Checker(source, entry, [*_consulted, *consulted], permit)
    checker.run()
    if checker.problems:
        raise ConfigError(_report(checker.problems))
    gin.clear_config()
    # Not finalized: gin would ask for REQUIRED values of entry points that are not called.
    gin.parse_config(gin_render.bindings_text(checker))
    gin_trust.apply(permit, source)
    _effective = gin_render.effective_text(checker)
    return _effective


def _report(problems: Sequence[gin_source.Problem]) -> str:
    unique = list(dict.fromkeys(str(each) for each in problems))
    count = "a mistake" if len(unique) == 1 else f"{len(unique)} mistakes"
    return redaction.redact("\n".join([f"The configuration has {count}.", "", "\n\n".join(unique)]))


def has_macro(name: str) -> bool:
    """Whether the applied configuration defines a macro."""
    return (name, "gin.macro") in gin_config._CONFIG


def is_bound(selector: str, scope: str = "") -> bool:
    """Whether the applied configuration binds a parameter of `selector` in this scope."""
    return (scope, selector) in gin_config._CONFIG


def macro_value(name: str) -> Any:
    """Returns the value of a macro of the applied configuration, references called.

    Raises:
      ConfigError: the macro is not defined.
    """
    if not has_macro(name):
        raise ConfigError(f"The configuration does not define {name}. Give --gin.{name}=VALUE.")
    with gin.config_scope(None), gin.config_scope(name):
        return gin.get_configurable("gin.macro")()


def macro_or(name: str, default: Any) -> Any:
    """Returns the value of a macro of the applied configuration, `default` if it has none."""
    return macro_value(name) if has_macro(name) else default


def effective_config_str() -> str:
    """Returns all bindings in force and the defaults of what they reach, sorted, as gin text.

    The text parses again to the same configuration. Without `parse` (gin bound by hand) it
    is what gin itself knows.
    """
    return gin.config_str() if _effective is None else _effective


def clear() -> None:
    """Forgets the configuration, gin's too."""
    global _effective
    _effective = None
    gin_trust.clear()
    gin.clear_config()


def config_hash(text: str) -> str:
    """Returns the SHA-256 of a configuration, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _values(text: str, name: str) -> dict[str, str]:
    bindings = gin_source.read_text(text, name)
    return {each.written_key: repr(each.value) for each in bindings}


def config_diff(old_text: str, new_text: str) -> list[str]:
    """Returns one line per key whose value differs: `key: old -> new`.

    A run that only moved is not different: MODEL_DIR, and paths below it, do not count. Nor does
    how it is carried out: `runtime.Runtime`.
    """
    old, new = _values(old_text, "the stored configuration"), _values(new_text, "this run's")
    moved = old.pop("MODEL_DIR", "''").strip("'\""), new.pop("MODEL_DIR", "''").strip("'\"")
    lines = []
    for key in sorted({*old, *new}):
        if key.startswith("runtime."):
            continue
        before, after = old.get(key, "(not set)"), new.get(key, "(not set)")
        if all(moved):
            before = before.replace(moved[0], moved[1])
        if before != after:
            lines.append(f"{key}: {before} -> {after}")
    return lines


def check_resume(model_dir: str, new_text: str, allow_config_change: bool = False) -> list[str]:
    """Compares this run's configuration with the one stored in `model_dir`.

    Returns:
      The lines of `config_diff`; none where no configuration is stored.

    Raises:
      ConfigError: they differ and `allow_config_change` is off.
    """
    stored = epath.Path(model_dir) / CONFIG_NAME
    if not stored.exists():
        return []
    diff = config_diff(stored.read_text(), new_text)
    if diff and not allow_config_change:
        shown = "\n".join(f"  {line}" for line in diff)
        raise ConfigError(
            f"{stored} holds a run with another configuration:\n{shown}\n"
            "Fix: set these back, name another MODEL_DIR, or accept the change with "
            "--allow_config_change."
        )
    return diff
