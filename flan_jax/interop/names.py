"""Name maps: which array of theirs holds which of ours, as data, for both directions.

A map is written once for a family as rules on names, with `{i}` for the number of a layer. Ours are
the names of the unscanned layout; `stacks` turns these into a model's layout and back.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

import ml_dtypes
import numpy as np

from flan_jax.errors import CheckpointError, suggest
from flan_jax.interop.source import Index, Source, extent, whole

_MAX_LISTED = 12
# What weights may be stored as; anything else is quantized, or is no weight.
WEIGHT_DTYPES = ("float64", "float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class Rule:
    """One line of a map.

    Attributes:
      ours: '/'-joined name, with `{i}` for the layer.
      theirs: their name.
      transpose: whether theirs is ours with the two axes exchanged.
      part: (k, n): ours is the k-th of n equal parts of theirs along its last axis.
    """

    ours: str
    theirs: str
    transpose: bool = False
    part: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class NameMap:
    """The rules of a family and what else its files may hold.

    Attributes:
      family: what messages call it.
      rules: one for each of our arrays.
      aliases: other names of an array -> its name in the rules. A file may have any of them; if it
        has several, they must be equal.
      unused: regular expressions of names that no code reads.
      prefix: in front of every name in some files, and in none in others.
    """

    family: str
    rules: tuple[Rule, ...]
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unused: tuple[str, ...] = ()
    prefix: str = ""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one of our arrays lies in a source; the fields are those of `Rule`.

    Attributes:
      theirs: name in the source.
      transpose: see `Rule`.
      part: see `Rule`.
      layer: (axis, number) where theirs is a stack of layers.
    """

    theirs: str
    transpose: bool = False
    part: tuple[int, int] | None = None
    layer: tuple[int, int] | None = None

    def shape(self, theirs: tuple[int, ...]) -> tuple[int, ...]:
        """Returns our shape, given theirs."""
        sizes = list(theirs)
        if self.part is not None and sizes:
            # Not a whole number of parts: give a shape that fits nothing.
            sizes[-1] = sizes[-1] // self.part[1] if sizes[-1] % self.part[1] == 0 else -1
        if self.layer is not None:
            del sizes[self.layer[0]]
        return tuple(reversed(sizes)) if self.transpose else tuple(sizes)

    def within(self, theirs: np.ndarray) -> np.ndarray:
        """Returns the view of an array of theirs that is ours, in our orientation."""
        if self.part is not None:
            k, n = self.part
            size = theirs.shape[-1] // n
            theirs = theirs[..., k * size : (k + 1) * size]
        if self.layer is not None:
            theirs = np.moveaxis(theirs, self.layer[0], 0)[self.layer[1]]
        return theirs.T if self.transpose else theirs


def numpy_dtype(name: str) -> np.dtype:
    """Returns the dtype of one of WEIGHT_DTYPES; numpy has bfloat16 from ml_dtypes."""
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def expand(rules: Sequence[Rule], names: Sequence[str]) -> dict[str, Rule]:
    """Returns the rule of each of our names, layer numbers filled in.

    Args:
      rules: of a family.
      names: of the unscanned layout. Those without a rule are left out.
    """
    patterns = [(re.compile(re.escape(r.ours).replace(r"\{i\}", r"(\d+)")), r) for r in rules]
    found = {}
    for name in names:
        for pattern, rule in patterns:
            if match := pattern.fullmatch(name):
                theirs = rule.theirs.replace("{i}", match[1]) if match.groups() else rule.theirs
                found[name] = dataclasses.replace(rule, ours=name, theirs=theirs)
                break
    return found


class Bound:
    """A source under our names of the unscanned layout.

    Attributes:
      source: the arrays.
      places: our name -> where it lies.
      left: their names that nothing of ours lies in.
      expected: our name -> their name, for those that were looked for, found or not.
    """

    def __init__(
        self,
        source: Source,
        places: Mapping[str, Place],
        left: Sequence[str],
        expected: Mapping[str, str],
    ):
        """See the class."""
        self.source = source
        self.places = dict(places)
        self.left = list(left)
        self.expected = dict(expected)

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of one of our arrays."""
        place = self.places[name]
        return place.shape(self.source.arrays[place.theirs].shape)

    def dtype(self, name: str) -> np.dtype:
        """Returns its dtype in the source."""
        return self.source.arrays[self.places[name].theirs].dtype

    def read_into(self, name: str, index: Index, out: np.ndarray) -> None:
        """Reads a part of one of our arrays into `out`, casting to its dtype."""
        place = self.places[name]
        theirs = self.source.arrays[place.theirs].shape
        if place.transpose:
            index, out = index[::-1], out.T
        if place.layer is not None:
            self.source.read_layer(place.theirs, *place.layer, index, out)
            return
        if place.part is not None:
            k, n = place.part
            shift = k * (theirs[-1] // n)
            index = (*index[:-1], slice(index[-1].start + shift, index[-1].stop + shift))
        self.source.read_into(place.theirs, index, out)

    def read(self, name: str) -> np.ndarray:
        """Returns one of our arrays as stored."""
        out = np.empty(self.shape(name), self.dtype(name))
        self.read_into(name, whole(out.shape), out)
        return out


def bind(source: Source, name_map: NameMap, names: Sequence[str]) -> Bound:
    """Finds our arrays in a source of another library.

    Args:
      source: arrays by their names.
      name_map: of the family.
      names: ours, of the unscanned layout. Those that the source lacks are left out.

    Raises:
      CheckpointError: two names of one array differ.
    """
    spelled = {_plain_name(name, name_map): name for name in source.arrays}
    found: dict[str, str] = {}
    # An array's name in the rules comes first, and stands for it.
    for spelling, name in sorted(spelled.items(), key=lambda item: item[0] in name_map.aliases):
        main = name_map.aliases.get(spelling, spelling)
        if main in found and not _equal(source, found[main], name):
            raise CheckpointError(
                f"{source.where}: {name!r} differs from {found[main]!r}, which the configuration "
                "says it equals. Set tie_word_embeddings to false in config.json, or "
                "logits_via_embedding to False in a gin file, for untied output weights."
            )
        found.setdefault(main, name)
    rules = expand(name_map.rules, names)
    places = {
        ours: Place(found[rule.theirs], rule.transpose, rule.part)
        for ours, rule in rules.items()
        if rule.theirs in found
    }
    used = {place.theirs for place in places.values()}
    left = [
        name
        for spelling, name in spelled.items()
        if name not in used
        and found[name_map.aliases.get(spelling, spelling)] not in used
        and not any(re.fullmatch(pattern, spelling) for pattern in name_map.unused)
    ]
    return Bound(source, places, left, {ours: rule.theirs for ours, rule in rules.items()})


def _plain_name(name: str, name_map: NameMap) -> str:
    """The name as the rules have it, with the prefix."""
    prefix = name_map.prefix
    if not prefix or name.startswith(prefix):
        return name
    known = any(rule.theirs.startswith(prefix + name.split(".", 1)[0]) for rule in name_map.rules)
    return prefix + name if known else name


def _equal(source: Source, one: str, other: str) -> bool:
    """Whether two arrays have the same content, compared some rows at a time."""
    a, b = source.arrays[one], source.arrays[other]
    if a.shape != b.shape:
        return False
    step = max(1, (1 << 24) // max(1, int(np.prod(a.shape[1:], dtype=np.int64))))
    for first in range(0, a.shape[0], step):
        index = (slice(first, min(first + step, a.shape[0])), *whole(a.shape[1:]))
        rows, others = (np.empty(extent(index), np.float32) for _ in range(2))
        source.read_into(one, index, rows)
        source.read_into(other, index, others)
        if not np.array_equal(rows, others):
            return False
    return True


def misfits(bound: Bound, wanted: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, str]]:
    """Yields (our name, a line that says what is wrong) for each array that does not fit.

    Args:
      bound: the source.
      wanted: our name of the unscanned layout -> shape.
    """
    for name, shape in wanted.items():
        if name not in bound:
            theirs = bound.expected.get(name)
            what = f"{name}, for which the format has no place" if theirs is None else theirs
            near = "" if theirs is None else suggest(theirs, bound.left, n=1)
            yield name, f"{what}: missing; the model's {name} is {shape}.{near}"
            continue
        place = bound.places[name]
        stored = bound.source.arrays[place.theirs]
        if str(stored.dtype) not in WEIGHT_DTYPES:
            yield (
                name,
                (
                    f"{place.theirs}: dtype {stored.dtype}; expected one of "
                    f"{', '.join(WEIGHT_DTYPES)} (quantized weights are not read)"
                ),
            )
        elif bound.shape(name) != shape:
            yield name, f"{place.theirs}: shape {stored.shape}; the model's {name} is {shape}"


def raise_for(where: str, lines: Sequence[str]) -> None:
    """Raises a CheckpointError that lists what does not fit, if there is anything."""
    if not lines:
        return
    more = len(lines) - _MAX_LISTED
    shown = "\n  ".join(lines[:_MAX_LISTED]) + (f"\n  … and {more} more" if more > 0 else "")
    raise CheckpointError(
        f"{where} does not hold the weights of this model: {len(lines)} "
        f"{'array does' if len(lines) == 1 else 'arrays do'} not fit.\n"
        f"  {shown}"
    )
