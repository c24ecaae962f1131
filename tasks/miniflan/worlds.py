"""Which compositions and phrasings are trained and which are held out, fixed by a seed.

Many pairs of operations commute: "keep first then capitalise" is "capitalise then keep first". So
compositions are divided by what they do, not by name: those that do the same are trained together
or held out together, and what a single operation does is never held out.
"""

import dataclasses
import functools
import itertools
import random
import zlib

from tasks.miniflan.operations import BY_NAME, GROUPS, OPERATIONS, Words, run

Composition = tuple[str, ...]  # Names of one or two operations, in order.
Cluster = tuple[str, str]  # Kinds of the two operations.

SHORTEST, LONGEST = 2, 5  # Words of an input list.
NUM_UNSEEN = 28
# Both orders, since operations of these two kinds commute.
HELD_OUT_CLUSTERS: tuple[Cluster, ...] = (("order", "change"), ("change", "order"))
# One list in so many is for evaluation only; training never sees it, with any instruction.
_EVALUATION_SHARE = 8

FRAMES = {
    1: ("{a} : {list}", "just {a} : {list}", "please {a} : {list}", "only {a} : {list}"),
    2: (
        "{a} then {b} : {list}",
        "first {a} next {b} : {list}",
        "{a} and {b} : {list}",
        "please {a} before {b} : {list}",
    ),
}
Wording = tuple[int, tuple[int, ...]]  # Index of the frame, index of each operation's phrasing.


@dataclasses.dataclass(frozen=True)
class World:
    """The division into what is trained and what is held out.

    Attributes:
      seed: what fixed it.
      seen: compositions trained, `num_training_tasks` of them.
      unseen: compositions in no training task of any kind; their clusters are trained. No
        trained composition or single operation does the same.
      held_out_cluster: all compositions of `HELD_OUT_CLUSTERS`, in no training task either.
      held_out_wordings: (frame, position, operation, phrasing) combinations never trained, though
        each frame and each phrasing is.
    """

    seed: int
    seen: tuple[Composition, ...]
    unseen: tuple[Composition, ...]
    held_out_cluster: tuple[Composition, ...]
    held_out_wordings: frozenset[tuple[int, int, str, int]]

    def is_held_out(self, composition: Composition, wording: Wording) -> bool:
        """Whether a wording of two operations contains a combination that training never shows."""
        frame, phrasings = wording
        return any(
            (frame, position, name, phrasing) in self.held_out_wordings
            for position, (name, phrasing) in enumerate(zip(composition, phrasings, strict=True))
        )


def cluster_of(composition: Composition) -> Cluster:
    """Kinds of a composition's two operations."""
    first, second = (BY_NAME[name].kind for name in composition)
    return first, second


@functools.cache
def _probe_lists() -> tuple[Words, ...]:
    """Lists on which operations are compared."""
    rng = random.Random(0)
    return tuple(random_list(rng) for _ in range(400))


@functools.cache
def _answers(composition: Composition) -> tuple[Words | None, ...]:
    states = (run(composition, words) for words in _probe_lists())
    return tuple(found[-1] if found else None for found in states)


def do_the_same(one: Composition, other: Composition) -> bool:
    """Whether two compositions give equal answers wherever both apply (and some list allows both).

    >>> do_the_same(("keep_first", "capitals"), ("capitals", "keep_first"))
    True
    """
    overlap = False
    for left, right in zip(_answers(one), _answers(other), strict=True):
        if left is not None and right is not None:
            if left != right:
                return False
            overlap = True
    return overlap


def _does_what_a_single_does(composition: Composition) -> bool:
    return any(do_the_same(composition, (operation.name,)) for operation in OPERATIONS)


@functools.cache
def same_function_groups() -> tuple[tuple[Composition, ...], ...]:
    """All compositions, grouped so that those which do the same are in one group."""
    groups: list[list[Composition]] = []
    for composition in compositions():
        same = [group for group in groups if any(do_the_same(composition, c) for c in group)]
        groups = [group for group in groups if group not in same]
        groups.append([c for group in same for c in group] + [composition])
    return tuple(tuple(group) for group in groups)


@functools.cache
def compositions() -> tuple[Composition, ...]:
    """All pairs of different operations in which each changes most lists that the other allows."""
    return tuple(
        pair
        for pair in itertools.permutations([operation.name for operation in OPERATIONS], 2)
        # A pair that hardly any list allows (spelling digits, then raising them) is none.
        if sum(answer is not None for answer in _answers(pair)) >= 40
    )


@functools.cache
def make_world(seed: int = 0, num_training_tasks: int | None = None) -> World:
    """Divides the compositions.

    Args:
      seed: of the division; what is held out does not depend on `num_training_tasks`.
      num_training_tasks: compositions trained; None trains all that are not held out. A smaller
        number is a subset of a larger one's.

    Raises:
      ValueError: there are not so many.
    """
    rng = random.Random(seed)
    cluster = tuple(c for c in compositions() if cluster_of(c) in HELD_OUT_CLUSTERS)
    # What a trained single operation does already is trained too, with all that does the same.
    seen: list[Composition] = []
    groups = []
    for group in same_function_groups():
        if any(c in cluster for c in group):
            assert all(c in cluster for c in group), f"{group} lies on the edge of a cluster"
        elif any(_does_what_a_single_does(c) for c in group):
            seen.extend(group)
        else:
            groups.append(group)
    rng.shuffle(groups)
    unseen: list[Composition] = []
    for group in groups:
        (unseen if len(unseen) + len(group) <= NUM_UNSEEN else seen).extend(group)
    rng.shuffle(seen)
    count = len(seen) if num_training_tasks is None else num_training_tasks
    if not 1 <= count <= len(seen):
        raise ValueError(f"{count} training tasks asked for; there are 1 to {len(seen)}")
    held = {
        (frame, position, operation.name, rng.randrange(len(operation.phrasings)))
        for frame in range(len(FRAMES[2]))
        for operation in OPERATIONS
        for position in (0, 1)
        if rng.random() < 0.6
    }
    # So that every composition has a wording that is held out, whatever the seed.
    for operation, position in itertools.product(OPERATIONS, (0, 1)):
        if not any(key[1:3] == (position, operation.name) for key in held):
            frame = rng.randrange(len(FRAMES[2]))
            held.add((frame, position, operation.name, rng.randrange(len(operation.phrasings))))
    return World(seed, tuple(seen[:count]), tuple(unseen), cluster, frozenset(held))


def random_list(rng: random.Random) -> Words:
    """Two to five different words, each of a group drawn first."""
    words: list[str] = []
    length = rng.randint(SHORTEST, LONGEST)
    while len(words) < length:
        word = rng.choice(rng.choice(GROUPS))
        if word not in words:
            words.append(word)
    return tuple(words)


def is_evaluation_list(words: Words) -> bool:
    """Whether a list is kept for evaluation, by a checksum of its words."""
    return zlib.crc32(" ".join(words).encode()) % _EVALUATION_SHARE == 0
