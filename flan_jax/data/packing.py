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
        self._capacity = (input_length, target_length)
        self._window = window
        # Both in order of arrival.
        self._pool: list[Example] = []
        self._size_2xW = np.zeros((2, window), np.int64)

    @property
    def missing(self) -> int:
        """Examples to add before the pool is full."""
        return self._window - len(self._pool)

    def add(self, example: Example) -> None:
        """Puts an example, no longer than a row, into the pool."""
        self._size_2xW[:, len(self._pool)] = len(example.inputs), len(example.targets)
        self._pool.append(example)

    def waiting(self) -> list[Example]:
        """Returns the pool, oldest first; adding these to an empty packer gives its state."""
        return list(self._pool)

    def take_row(self) -> Row:
        """Removes and returns the examples of the next row; the pool must not be empty."""
        count = len(self._pool)
        inputs_C, targets_C = self._size_2xW[:, :count]
        input_weight = float(inputs_C.mean()) / self._capacity[0] ** 3
        target_weight = float(targets_C.mean()) / self._capacity[1] ** 3
        input_room = self._capacity[0] - int(inputs_C[0])
        target_room = self._capacity[1] - int(targets_C[0])
        taken = [0]
        place_C = np.arange(1, count)
        inputs_C, targets_C = inputs_C[1:], targets_C[1:]
        while True:
            # Room only shrinks, so what does not fit now is out for the rest of the row.
            fits_C = (inputs_C <= input_room) & (targets_C <= target_room)
            place_C, inputs_C, targets_C = place_C[fits_C], inputs_C[fits_C], targets_C[fits_C]
            if not len(place_C):
                break
            input_left_C, target_left_C = input_room - inputs_C, target_room - targets_C
            cost_C = input_weight * input_left_C**2 + target_weight * target_left_C**2
            best = int(cost_C.argmin())  # The oldest of equals, since order is arrival.
            taken.append(int(place_C[best]))
            input_room, target_room = int(input_left_C[best]), int(target_left_C[best])
            inputs_C[best] = self._capacity[0] + 1  # A copy by now: taken once only.
        row = [self._pool[place] for place in taken]
        self._drop(taken)
        return row

    def _drop(self, places: list[int]) -> None:
        keep_C = np.ones(len(self._pool), bool)
        keep_C[places] = False
        kept_2xC = self._size_2xW[:, : len(self._pool)][:, keep_C]
        self._size_2xW[:, : kept_2xC.shape[1]] = kept_2xC
        self._pool = [self._pool[place] for place in np.flatnonzero(keep_C).tolist()]


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
