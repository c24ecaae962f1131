"""Examples into rows and rows into T5X's batch features, with numpy alone.

For an encoder-decoder an example is placed once in the encoder and once in the decoder row, under
one segment number, so a row is full when either side is. Choosing examples is vector bin packing
with two capacities. For a decoder alone the targets follow the inputs in one row of one capacity.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flan_jax.data.layout import ENCODER_DECODER, RowLayout

TRUNCATED_INPUTS, TRUNCATED_TARGETS, CUT_EOS = 1, 2, 4


class Example(NamedTuple):
    """One tokenised and trimmed example.

    `inputs` and `targets` are int32 token vectors; `flags` is a sum of TRUNCATED_INPUTS,
    TRUNCATED_TARGETS and CUT_EOS (the targets lost their end-of-sequence token). `weights` are
    int32, how much each target token counts in the loss; None where each counts 1.
    """

    task_id: int
    inputs: np.ndarray
    targets: np.ndarray
    flags: int = 0
    weights: np.ndarray | None = None


Row = list[Example]


class Packer:
    """Fills rows from a pool of waiting examples.

    Each row starts with the example that has waited longest, so that nothing starves, and goes on
    with the one whose addition leaves least room, both sides counted, until none fits. Room is
    squared, which prefers rows that fill on both sides at once, and weighted by the pool's mean
    length of the side, which favours the side that runs out first.
    """

    def __init__(
        self,
        input_length: int,
        target_length: int,
        window: int,
        layout: RowLayout = ENCODER_DECODER,
    ):
        """Makes an empty packer.

        Args:
          input_length: most tokens of inputs: of a row, or in the row that both share.
          target_length: the same of targets.
          window: examples in the pool when a row is filled.
          layout: whether inputs and targets share a row.
        """
        self._joint = layout.decoder_only
        # A row for both is a first side of the whole length, and a second one that nothing fills.
        both = (input_length + target_length, 1)
        self._capacity = both if self._joint else (input_length, target_length)
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
        sizes = len(example.inputs), len(example.targets)
        self._size_2xW[:, len(self._pool)] = (sum(sizes), 0) if self._joint else sizes
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
    layout: RowLayout = ENCODER_DECODER,
) -> dict[str, np.ndarray]:
    """Lays rows out as T5X's features.

    One example [3, 9, 1] -> [4, 1] with lengths 4 and 3 gives an encoder-decoder, unpacked,
    `encoder_input_tokens` [3, 9, 1, 0], `decoder_target_tokens` [4, 1, 0],
    `decoder_input_tokens` [0, 4, 1], `decoder_loss_weights` [1, 1, 0]. Packed rows add segment ids
    [1, 1, 1, 0], positions [0, 1, 2, 0] and so on, and the shift stays inside each segment
    (`decoder_input_tokens` [0, 4, 0]).

    It gives a decoder alone one row of 7, `decoder_target_tokens` [3, 9, 1, 4, 1, 0, 0],
    `decoder_input_tokens` [0, 3, 9, 1, 4, 0, 0], `decoder_loss_weights` [0, 0, 0, 1, 1, 0, 0], and
    where inputs see each other both ways `decoder_causal_attention` [1, 1, 1, 1, 0, 0, 0]. Nothing
    of it is derived from token ids: 0 may be a token like any other.

    Args:
      rows: at most `num_rows` lists of examples whose lengths fit; unpacked rows hold one each.
      num_rows: B; rows beyond those given are padding, with loss weight 0.
      input_length: L; 0 where examples have no inputs.
      target_length: T. Rows of a decoder alone have L + T tokens.
      packed: whether to add segment ids and positions.
      layout: the model's.

    Returns:
      int32 arrays under the names of docs/architecture.md.
    """
    examples = [example for row in rows for example in row]
    row_E = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    first_E = np.zeros(len(examples), np.int64)
    if rows:
        starts = np.cumsum([0] + [len(row) for row in rows[:-1]])
        first_E = np.repeat(starts, [len(row) for row in rows])
    where = _Where(examples, row_E, first_E, num_rows, packed)
    if layout.decoder_only:
        return _joint_rows(where, input_length + target_length, layout)
    return _rows_of_two_sides(where, input_length, target_length)


def assemble_prefixes(
    inputs: Sequence[np.ndarray], num_rows: int, input_length: int, layout: RowLayout
) -> dict[str, np.ndarray]:
    """Lays inputs out as what a decoder alone continues.

    [3, 9] with `input_length` 4 gives `decoder_prefix_tokens` [b, 3, 9, 0, 0], led in by the
    layout's `bos_id`, and `decoder_prefix_lengths` 3.

    Args:
      inputs: at most `num_rows` int32 vectors of at most `input_length` tokens.
      num_rows: B; rows beyond those given have length 0.
      input_length: P - 1.
      layout: gives `bos_id`.

    Returns:
      int32 `decoder_prefix_tokens` BxP and `decoder_prefix_lengths` B.
    """
    tokens_BxP = np.zeros((num_rows, input_length + 1), np.int32)
    lengths_B = np.zeros(num_rows, np.int32)
    for row, tokens in enumerate(inputs):
        tokens_BxP[row, 0] = layout.bos_id
        tokens_BxP[row, 1 : len(tokens) + 1] = tokens
        lengths_B[row] = len(tokens) + 1
    return {"decoder_prefix_tokens": tokens_BxP, "decoder_prefix_lengths": lengths_B}


class _Where(NamedTuple):
    """E examples, the row of each, and the number of the first example of its row."""

    examples: list[Example]
    row_E: np.ndarray
    first_E: np.ndarray
    num_rows: int
    packed: bool

    @property
    def segment_E(self) -> np.ndarray:
        return np.arange(len(self.examples)) - self.first_E + 1

    @property
    def task_E(self) -> np.ndarray:
        return np.array([example.task_id for example in self.examples], np.int32)

    def target_weights(self) -> np.ndarray | None:
        """Loss weights of all target tokens, end to end; None where no example has any."""
        if all(example.weights is None for example in self.examples):
            return None
        return np.concatenate(
            [
                np.ones(len(example.targets), np.int32)
                if example.weights is None
                else example.weights
                for example in self.examples
            ]
        )


def _rows_of_two_sides(
    where: _Where, input_length: int, target_length: int
) -> dict[str, np.ndarray]:
    inputs = _Side([example.inputs for example in where.examples], where, input_length)
    targets = _Side([example.targets for example in where.examples], where, target_length)
    target_tokens_BxT = targets.place(targets.tokens_N)
    weights_N = where.target_weights()
    batch = {
        "encoder_input_tokens": inputs.place(inputs.tokens_N),
        "decoder_target_tokens": target_tokens_BxT,
        "decoder_loss_weights": (target_tokens_BxT != 0).astype(np.int32)
        if weights_N is None
        else targets.place(weights_N),
        "decoder_task_ids": targets.place(where.task_E[targets.example_N]),
    }
    shifted_BxT = np.zeros_like(target_tokens_BxT)
    shifted_BxT[:, 1:] = target_tokens_BxT[:, :-1]
    if where.packed:
        segment_E = where.segment_E
        positions_BxT = targets.place(targets.position_N)
        shifted_BxT[positions_BxT == 0] = 0
        batch["encoder_segment_ids"] = inputs.place(segment_E[inputs.example_N])
        batch["encoder_positions"] = inputs.place(inputs.position_N)
        batch["decoder_segment_ids"] = targets.place(segment_E[targets.example_N])
        batch["decoder_positions"] = positions_BxT
    batch["decoder_input_tokens"] = shifted_BxT
    return batch


def _joint_rows(where: _Where, length: int, layout: RowLayout) -> dict[str, np.ndarray]:
    examples = where.examples
    both = [np.concatenate([example.inputs, example.targets]) for example in examples]
    side = _Side(both, where, length)
    num_inputs_E = np.array([len(example.inputs) for example in examples], np.int64)
    num_inputs_N = num_inputs_E[side.example_N]
    is_target_N = side.position_N >= num_inputs_N

    counts_N = np.ones_like(is_target_N) if layout.loss_on == "all" else is_target_N
    weights_N = counts_N.astype(np.int32)
    given = where.target_weights()
    if given is not None:
        weights_N[is_target_N] = given
    shifted_N = np.roll(side.tokens_N, 1)
    shifted_N[side.position_N == 0] = layout.bos_id
    batch = {
        "decoder_target_tokens": side.place(side.tokens_N),
        "decoder_input_tokens": side.place(shifted_N),
        "decoder_loss_weights": side.place(weights_N),
        "decoder_task_ids": side.place(where.task_E[side.example_N]),
    }
    if layout.bidirectional_inputs:
        # One more than the inputs: what reads the last of them predicts the first target.
        batch["decoder_causal_attention"] = side.place(side.position_N <= num_inputs_N)
    if where.packed:
        batch["decoder_segment_ids"] = side.place(where.segment_E[side.example_N])
        batch["decoder_positions"] = side.place(side.position_N)
    return batch


class _Side:
    """Where each of N tokens of E sequences goes: all sequences end to end, vectorised."""

    def __init__(self, sequences: list[np.ndarray], where: _Where, length: int):
        lengths_E = np.array([len(sequence) for sequence in sequences], np.int64)
        ends_E = np.cumsum(lengths_E)
        begins_E = ends_E - lengths_E
        # A sequence starts in its row after those of the same row before it.
        column_E = begins_E - begins_E[where.first_E] if len(sequences) else begins_E
        assert not len(sequences) or int((column_E + lengths_E).max()) <= length, "row overflow"
        self._shape = (where.num_rows, length)
        self.example_N = np.repeat(np.arange(len(sequences)), lengths_E)
        self.position_N = np.arange(len(self.example_N)) - begins_E[self.example_N]
        self.tokens_N = np.concatenate(sequences) if sequences else np.zeros(0, np.int32)
        self._target_N = (where.row_E * length + column_E)[self.example_N] + self.position_N

    def place(self, values_N: np.ndarray) -> np.ndarray:
        """Returns num_rows x length int32, 0 where no token lies."""
        flat = np.zeros(self._shape[0] * self._shape[1], np.int32)
        flat[self._target_N] = values_N
        return flat.reshape(self._shape)
