"""Reading parameters from a checkpoint that holds all of them, or from one that stands on another.

A run that trains some of the parameters saves these alone, with a reference to the checkpoint the
frozen ones came from: its base. The reference has the base's path and a fingerprint of its files,
so that a prompt is never put on another model than the one it was trained on.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
from etils import epath

from flan_jax import checkpoint_arrays as stored
from flan_jax import checkpoint_files as files
from flan_jax.errors import CheckpointError
from flan_jax.sharding import path_name

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Base:
    """The checkpoint that frozen parameters come from.

    Attributes:
      path: its `checkpoint_<step>` directory.
      fingerprint: see `checkpoint_files.fingerprint`.
    """

    path: str
    fingerprint: str


def find_checkpoint(path: epath.PathLike, step: int | None = None, say: Say = print) -> epath.Path:
    """As `checkpoint_files.find_checkpoint`, with the same answer on all processes."""
    return epath.Path(files.agree(lambda: str(files.find_checkpoint(path, step, say))))


def make_base(directory: epath.Path) -> Base:
    """Returns the reference to a whole checkpoint, for checkpoints that stand on it."""

    def fingerprint() -> str:
        below = read_base(directory)
        return files.fingerprint(directory, "params", below.fingerprint if below else "")

    return Base(str(directory), files.agree(fingerprint))


def read_base(directory: epath.Path) -> Base | None:
    """Returns what a checkpoint stands on; None if it holds all parameters itself."""
    return base_in(stored.read_meta(directory))


def base_in(meta: Mapping[str, Any]) -> Base | None:
    """Returns the same from the checkpoint's JSON item."""
    return Base(**meta["base"]) if "base" in meta else None


def find_base(
    directory: epath.Path, base: Base, moved_to: epath.PathLike | None = None, say: Say = print
) -> epath.Path:
    """Finds the base of a checkpoint and checks that it is the same as when it was named.

    Args:
      directory: the checkpoint that stands on it, for messages.
      base: the reference.
      moved_to: where the base lies now, it or the folder it is in; None for where it was.
      say: receives sentences.

    Raises:
      CheckpointError: it is gone, damaged, or another one.
    """
    place = epath.Path(base.path if moved_to is None else moved_to)
    name = epath.Path(base.path).name
    if moved_to is not None and place.name != name and (place / name).exists():
        place = place / name
    fix = (
        "Put it back, or name where it is now: "
        f"--gin.utils.RestoreCheckpointConfig.base_path=\"'PATH/{name}'\"."
    )
    what = f"{directory} holds only what was trained. Its frozen parameters are those of {place}"
    try:
        found = find_checkpoint(place, None, say)
    except CheckpointError as error:
        raise CheckpointError(f"{what}, which cannot be read. {error} {fix}") from error
    if (fingerprint := make_base(found).fingerprint) != base.fingerprint:
        raise CheckpointError(
            f"{what}, which has changed: its files have fingerprint {fingerprint[:12]}…, and had "
            f"{base.fingerprint[:12]}… when the run started from it. {fix}"
        )
    return found


def restore_params(
    path: epath.PathLike,
    abstract_params: Any,
    shardings: Any,
    step: int | None = None,
    *,
    strict: bool = True,
    initial: Any = None,
    optional: Collection[str] = (),
    base_path: epath.PathLike | None = None,
    say: Say = print,
) -> Any:
    """Restores only the parameters: for evaluation, inference and fine-tuning.

    Args:
      path: a MODEL_DIR or a `checkpoint_<step>` directory.
      abstract_params: nested dict with `ShapeDtypeStruct` leaves. Values are cast if the dtype
        differs from the checkpoint's.
      shardings: the same structure with a sharding per array, or one sharding for all.
      step: step wanted from a MODEL_DIR; None for the newest whole checkpoint.
      strict: whether names must agree exactly. If not, parameters only in the checkpoint are left
        and those it lacks are taken from `initial`.
      initial: parameter tree or a part of one, needed where the checkpoint lacks some.
      optional: names that the checkpoint may lack although `strict`; '/'-joined.
      base_path: where the base of the checkpoint lies now, if it has one that was moved.
      say: receives sentences about what was passed over or filled in.

    Returns:
      The parameters, in the structure of `abstract_params`.

    Raises:
      CheckpointError: there is no such checkpoint, it or its base is damaged, the base is not as it
        was, or parameters differ.
    """
    directory = find_checkpoint(path, step, say)
    request = _Request(
        wanted=stored.flat(stored.with_shardings(abstract_params, shardings), "params/"),
        initial={} if initial is None else stored.flat(initial, "params/"),
        optional=frozenset("params/" + name for name in optional),
        strict=strict,
    )
    found = _read(directory, request, frozenset(), base_path, say)
    leaves, treedef = jax.tree_util.tree_flatten_with_path(abstract_params)
    return treedef.unflatten([found["params/" + path_name(path)] for path, _ in leaves])


def restore_frozen(
    directory: epath.Path,
    base: Base,
    abstract_frozen: Any,
    shardings: Any,
    trained: Collection[str],
    base_path: epath.PathLike | None = None,
    say: Say = print,
) -> Any:
    """Restores the parameters that a checkpoint leaves to its base.

    Args:
      directory: the checkpoint.
      base: what it stands on.
      abstract_frozen: nested dict with `ShapeDtypeStruct` leaves.
      shardings: the same structure with shardings.
      trained: '/'-joined names of the other parameters, which the base may have too.
      base_path: see `restore_params`.
      say: receives sentences.

    Raises:
      CheckpointError: as `find_base`, or parameters differ.
    """
    below = find_base(directory, base, base_path, say)
    wanted = stored.flat(stored.with_shardings(abstract_frozen, shardings), "params/")
    request = _Request(wanted, {}, frozenset(), strict=True)
    found = _read(below, request, frozenset("params/" + name for name in trained), None, say)
    leaves, treedef = jax.tree_util.tree_flatten_with_path(abstract_frozen)
    return treedef.unflatten([found["params/" + path_name(path)] for path, _ in leaves])


@dataclasses.dataclass(frozen=True)
class _Request:
    """Arrays by name: abstract ones with shardings, and values for those that may be lacking."""

    wanted: Mapping[str, jax.ShapeDtypeStruct]
    initial: Mapping[str, Any]
    optional: frozenset[str]
    strict: bool


def _read(
    directory: epath.Path,
    request: _Request,
    above: frozenset[str],
    base_path: epath.PathLike | None,
    say: Say,
) -> dict[str, Any]:
    """Reads what is wanted from a checkpoint and from its base.

    Args:
      directory: a whole checkpoint.
      request: what is wanted, without what was found above.
      above: names found in the checkpoint that stands on this one: not missed, not told of here.
      base_path: see `restore_params`.
      say: receives sentences.
    """
    wanted, start = request.wanted, request.initial
    saved = stored.saved_arrays(directory, "params")
    base = read_base(directory)
    here = wanted if base is None else {n: leaf for n, leaf in wanted.items() if n in saved}
    missing = sorted(here.keys() - saved.keys())
    needed = {n: leaf for n, leaf in here.items() if n in saved or n not in request.optional}
    counted = {n: array for n, array in saved.items() if n not in above}
    differences = stored.compare(counted, needed, check_dtype=False, check_names=request.strict)
    differences += [
        f"{name}: not in the checkpoint, and no initial value"
        for name in missing
        if name not in start and (name in request.optional or not request.strict)
    ]
    stored.raise_if_different(directory, differences)
    arrays = {
        # Parameters that only the checkpoint has are read as well: their item is one tree.
        name: wanted.get(name, jax.ShapeDtypeStruct(*saved[name]))
        for name in saved
    }
    found = stored.flat(stored.read(directory, "params", stored.nested(arrays)))
    if missing:
        found |= {name: jax.device_put(start[name], wanted[name].sharding) for name in missing}
        say(f"{directory.name}: {len(missing)} parameters keep their initial values: {missing}.")
    if extra := sorted(counted.keys() - wanted.keys()):
        say(f"{directory.name}: {len(extra)} parameters the model has not are left: {extra}.")
    if base is not None:
        below = find_base(directory, base, base_path, say)
        rest = {name: leaf for name, leaf in wanted.items() if name not in here}
        deeper = dataclasses.replace(request, wanted=rest)
        found |= _read(below, deeper, above | saved.keys(), None, say)
    return found
