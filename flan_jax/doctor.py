"""`flan-jax doctor`: what this machine has, whether it fits, and how to mend what does not.

No check can stop the others: whatever a check raises becomes a line of the output.
"""

import importlib
import importlib.metadata
import os
import pathlib
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from packaging.requirements import Requirement

DISTRIBUTION = "flan-jax"
_LEAST_FREE_GIB = 5
# Distribution -> module, where they are not spelled alike.
_MODULES = {
    "gin-config": "gin",
    "orbax-checkpoint": "orbax.checkpoint",
    "pyyaml": "yaml",
    "rouge-score": "rouge_score",
}
_GIB = 2**30
_PROBE = "Translate to German: How old are you? 42"

# (ok, text, fix): ok None only informs.
Finding = tuple[bool | None, str, str]


def run(
    model_dir: str | None = None,
    vocabulary: str | None = None,
    data: str | None = None,
    dataset_config: Callable[[str], Any] | None = None,
) -> int:
    """Prints all findings.

    Args:
      model_dir: checked for writing when given.
      vocabulary: path of a SentencePiece model, checked for a round trip when given.
      data: folder of prepared data, read whole when given.
      dataset_config: that folder -> what is to be trained from it, a `DatasetConfig`, whose tasks
        the data must fit.

    Returns:
      0 when nothing is wrong, else 1.
    """
    checks: list[Callable[[], Iterator[Finding]]] = [
        _machine,
        _requirements,
        _devices,
        lambda: _disk(model_dir or os.getcwd()),
    ]
    if model_dir is not None:
        checks.append(lambda: _writable(model_dir))
    if vocabulary is not None:
        checks.append(lambda: _vocabulary(vocabulary))
    if data is not None:
        checks.append(lambda: _data(data))
        if dataset_config is not None:
            checks.append(lambda: _fitting(dataset_config(data)))
    wrong = 0
    for check in checks:
        try:
            for finding in check():
                wrong += _show(*finding)
        except Exception as error:  # A broken library may raise anything on import.
            wrong += _show(False, f"{type(error).__name__}: {error}", "")
    print(f"{wrong} to mend." if wrong else "All is well.")
    return 1 if wrong else 0


def _show(ok: bool | None, text: str, fix: str) -> bool:
    mark = {True: "ok   ", False: "WRONG", None: "     "}[ok]
    print(f"{mark} {text}")
    if ok is False and fix:
        print(f"      Fix: {fix}")
    return ok is False


def _machine() -> Iterator[Finding]:
    from flan_jax import __version__

    python = sys.version_info[:2]
    yield None, f"flan-jax {__version__} in {pathlib.Path(__file__).parent}", ""
    yield (
        (3, 11) <= python < (3, 14),
        f"Python {platform.python_version()} at {sys.executable}, {platform.platform()}",
        "make a virtual environment with Python 3.11, 3.12 or 3.13",
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield None, f"{cores} CPU cores, {_memory()} of memory", ""


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Not every system tells.
        return "an unknown amount"
    return f"{total / _GIB:.1f} GiB"


def requirements() -> list[Requirement]:
    """Returns what the installed distribution needs, extras left out; empty if not installed."""
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = [Requirement(line) for line in lines]
    return [each for each in found if each.marker is None or each.marker.evaluate({"extra": ""})]


def _requirements() -> Iterator[Finding]:
    needed = requirements()
    if not needed:
        fix = f"{sys.executable} -m pip install -c constraints.txt -e . in the checkout"
        yield False, f"the distribution {DISTRIBUTION} is not installed", fix
    for requirement in needed:
        yield check_requirement(requirement)


def check_requirement(requirement: Requirement) -> Finding:
    """Looks whether one requirement is installed, in its range, and can be imported."""
    wanted = f"{requirement.name}{requirement.specifier}"
    fix = f"{sys.executable} -m pip install '{wanted}'"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False, f"{requirement.name} is not installed", fix
    if not requirement.specifier.contains(version, prereleases=True):
        return False, f"{requirement.name} {version} is outside {requirement.specifier}", fix
    module = _MODULES.get(requirement.name, requirement.name.replace("-", "_"))
    try:
        importlib.import_module(module)
    except Exception as error:  # A mismatched binary may raise anything.
        problem = f"{requirement.name} {version} cannot be imported: {error}"
        return False, problem, fix.replace("install", "install --force-reinstall")
    return True, f"{requirement.name} {version}", ""


def _devices() -> Iterator[Finding]:
    import jax

    try:
        devices = jax.devices()
    except RuntimeError as error:
        fix = "free the accelerator, or set JAX_PLATFORMS=cpu"
        yield False, f"jax finds no device: {error}", fix
        return
    kinds: dict[str, int] = {}
    for device in devices:
        kinds[device.device_kind] = kinds.get(device.device_kind, 0) + 1
    listed = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
    yield True, f"jax devices: {listed} ({jax.default_backend()})", ""
    for device in devices[:1]:
        limit = (device.memory_stats() or {}).get("bytes_limit")
        if limit:
            yield None, f"{limit / _GIB:.1f} GiB of memory on each device", ""


def _disk(folder: str) -> Iterator[Finding]:
    if "://" in folder:
        return
    place = pathlib.Path(folder).absolute()
    while not place.exists():
        place = place.parent
    free_gib = shutil.disk_usage(place).free / _GIB
    yield (
        free_gib >= _LEAST_FREE_GIB,
        f"{free_gib:.1f} GiB of disk free at {place}",
        f"free {_LEAST_FREE_GIB} GiB, or give another MODEL_DIR",
    )


def _writable(model_dir: str) -> Iterator[Finding]:
    from etils import epath

    folder = epath.Path(model_dir)
    fix = "give a MODEL_DIR that this user may write"
    try:
        if "://" in model_dir:
            probe = folder / ".flan_jax_probe"
            probe.write_text("")
            probe.unlink()
        else:
            existing = pathlib.Path(model_dir).absolute()
            while not existing.exists():
                existing = existing.parent
            with tempfile.TemporaryFile(dir=existing):
                pass
    except OSError as error:
        yield False, f"{model_dir} cannot be written: {error.strerror or error}", fix
        return
    yield True, f"{model_dir} can be written", ""


def _vocabulary(path: str) -> Iterator[Finding]:
    fix = "give the path of a SentencePiece .model file"
    if "://" not in path and not os.path.isfile(path):
        yield False, f"there is no vocabulary file {path}", fix
        return
    from flan_jax.data.vocabularies import SentencePieceVocabulary

    try:
        vocabulary = SentencePieceVocabulary(path)
        ids = vocabulary.encode(_PROBE)
        again = vocabulary.decode(ids)
    except Exception as error:  # The library raises its own kinds.
        yield False, f"{path} is not a vocabulary: {error}", fix
        return
    yield (
        again == _PROBE,
        f"vocabulary of {vocabulary.vocab_size} tokens; {_PROBE!r} is {len(ids)} tokens and "
        f"comes back as {again!r}",
        fix,
    )


def _data(folder: str) -> Iterator[Finding]:
    from flan_jax.data.prepared import checking

    yield from checking.findings(folder)


def _fitting(cfg: Any) -> Iterator[Finding]:
    from flan_jax.data.order import fitting

    yield from fitting.findings(cfg)
