"""Examples into rows and rows into T5X's batch features, with numpy alone.

An example is placed once in the encoder and once in the decoder row, under one segment number, so
a row is full when either side is. Choosing examples is vector bin packing with two capacities.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TRUNCATED_INPUTS, TRUNCATED_TARGETS, CUT_EOS = 1, 2, 4


class Example(NamedTuple):
    """One tokenised and trimmed example.

    `inputs` and `targets` are int32 token vectors; `flags` is a sum of TRUNCATED_INPUTS,
    TRUNCATED_TARGETS and CUT_EOS (the targets lost their end-of-sequence token).
    """

    task_id: int
    inputs: np.ndarray
    targets: np.ndarray
    flags: int = 0


Row = list[Example]


class Packer:
    """Fills rows from a pool of waiting examples.

    Each row starts with the example that has waited longest, so that nothing starves, and goes on
    with the one whose addition leaves least room, both sides counted, until none fits. Room is
    squared, which prefers rows that fill on both sides at once, and weighted by the pool's mean
    length of the side, which favours the side that runs out first.
    """

    def __init__(self, input_length: int, target_length: int, window: int):
        """Makes an empty packer.

        Args:
          input_length: encoder tokens a row.
          target_length: decoder tokens a row.
          window: examples in the pool when a row is filled.
        """
        self._capacity = np.array([input_length, target_length], np.float64)
        # Lengths relative to the row; a free slot is longer than any row, so it never fits.
        self._size_2xW = np.full((2, window), np.inf)
        self._arrival_W = np.full(window, np.iinfo(np.int64).max)
        self._slots: list[Example | None] = [None] * window
        self._free = list(range(window - 1, -1, -1))
        self._count = 0

    @property
    def missing(self) -> int:
        """Examples to add before the pool is full."""
        return len(self._free)

    def add(self, example: Example) -> None:
        """Puts an example, no longer than a row, into the pool."""
        slot = self._free.pop()
        self._slots[slot] = example
        self._size_2xW[0, slot] = len(example.inputs) / self._capacity[0]
        self._size_2xW[1, slot] = len(example.targets) / self._capacity[1]
        self._arrival_W[slot] = self._count
        self._count += 1

    def waiting(self) -> list[Example]:
        """Returns the pool, oldest first; adding these to an empty packer gives its state."""
        order = np.argsort(self._arrival_W, kind="stable")
        return [example for slot in order if (example := self._slots[slot]) is not None]

    def take_row(self) -> Row:
        """Removes and returns the examples of the next row; the pool must not be empty."""
        size_2xW = self._size_2xW
        filled_W = np.isfinite(size_2xW[0])
        weight_2x1 = size_2xW[:, filled_W].mean(axis=1, keepdims=True)
        room_2x1 = np.ones((2, 1))
        row = []
        slot = int(self._arrival_W.argmin())
        while True:
            room_2x1 -= size_2xW[:, slot : slot + 1]
            row.append(self._remove(slot))
            left_2xW = room_2x1 - size_2xW
            # Lengths are multiples of 1/capacity; the tolerance covers their rounding.
            fits = np.flatnonzero(left_2xW.min(axis=0) >= -1e-9)
            if not fits.size:
                return row
            # Slot numbers depend on history, arrival does not: ties go to the oldest.
            left_2xF = left_2xW[:, fits]
            cost_F = (weight_2x1 * left_2xF * left_2xF).sum(axis=0).round(12)
            best = fits[cost_F == cost_F.min()]
            slot = int(best[self._arrival_W[best].argmin()])

    def _remove(self, slot: int) -> Example:
        example = self._slots[slot]
        assert example is not None
        self._slots[slot] = None
        self._size_2xW[:, slot] = np.inf
        self._arrival_W[slot] = np.iinfo(np.int64).max
        self._free.append(slot)
        return example


def assemble(
    rows: Sequence[Row],
    num_rows: int,
    input_length: int,
    target_length: int,
    packed: bool,
) -> dict[str, np.ndarray]:
    """Lays rows out as T5X's encoder-decoder features.

    One example [3, 9, 1] -> [4, 1] with lengths 4 and 3 gives, unpacked,
    `encoder_input_tokens` [3, 9, 1, 0], `decoder_target_tokens` [4, 1, 0],
    `decoder_input_tokens` [0, 4, 1], `decoder_loss_weights` [1, 1, 0]. Packed rows add segment ids
    [1, 1, 1, 0], positions [0, 1, 2, 0] and so on, and the shift stays inside each segment
    (`decoder_input_tokens` [0, 4, 0]).

    Args:
      rows: at most `num_rows` lists of examples whose lengths fit; unpacked rows hold one each.
      num_rows: B; rows beyond those given are padding, with loss weight 0.
      input_length: L.
      target_length: T.
      packed: whether to add segment ids and positions.

    Returns:
      int32 arrays BxL and BxT under the names of docs/architecture.md.
    """
    examples = [example for row in rows for example in row]
    row_E = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    first_E = np.zeros(len(examples), np.int64)
    if rows:
        starts = np.cumsum([0] + [len(row) for row in rows[:-1]])
        first_E = np.repeat(starts, [len(row) for row in rows])
    segment_E = np.arange(len(examples)) - first_E + 1
    task_E = np.array([example.task_id for example in examples], np.int32)

    inputs = _Layout([example.inputs for example in examples], row_E, first_E, input_length)
    targets = _Layout([example.targets for example in examples], row_E, first_E, target_length)
    target_tokens_BxT = targets.place(num_rows, targets.tokens_N)
    batch = {
        "encoder_input_tokens": inputs.place(num_rows, inputs.tokens_N),
        "decoder_target_tokens": target_tokens_BxT,
        "decoder_loss_weights": (target_tokens_BxT != 0).astype(np.int32),
        "decoder_task_ids": targets.place(num_rows, task_E[targets.example_N]),
    }
    shifted_BxT = np.zeros_like(target_tokens_BxT)
    shifted_BxT[:, 1:] = target_tokens_BxT[:, :-1]
    if packed:
        positions_BxT = targets.place(num_rows, targets.position_N)
        shifted_BxT[positions_BxT == 0] = 0
        batch["encoder_segment_ids"] = inputs.place(num_rows, segment_E[inputs.example_N])
        batch["encoder_positions"] = inputs.place(num_rows, inputs.position_N)
        batch["decoder_segment_ids"] = targets.place(num_rows, segment_E[targets.example_N])
        batch["decoder_positions"] = positions_BxT
    batch["decoder_input_tokens"] = shifted_BxT
    return batch


class _Layout:
    """Where each of N tokens of E sequences goes: all sequences end to end, vectorised."""

    def __init__(
        self, sequences: list[np.ndarray], row_E: np.ndarray, first_E: np.ndarray, length: int
    ):
        lengths_E = np.array([len(sequence) for sequence in sequences], np.int64)
        ends_E = np.cumsum(lengths_E)
        begins_E = ends_E - lengths_E
        # A sequence starts in its row after those of the same row before it.
        column_E = begins_E - begins_E[first_E] if len(sequences) else begins_E
        assert not len(sequences) or int((column_E + lengths_E).max()) <= length, "row overflow"
        self.length = length
        self.example_N = np.repeat(np.arange(len(sequences)), lengths_E)
        self.position_N = np.arange(len(self.example_N)) - begins_E[self.example_N]
        self.tokens_N = np.concatenate(sequences) if sequences else np.zeros(0, np.int32)
        self._target_N = (row_E * length + column_E)[self.example_N] + self.position_N

    def place(self, num_rows: int, values_N: np.ndarray) -> np.ndarray:
        """Returns num_rows x length int32, 0 where no token lies."""
        flat = np.zeros(num_rows * self.length, np.int32)
        flat[self._target_N] = values_N
        return flat.reshape(num_rows, self.length)
