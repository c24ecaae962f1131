"""Predicts and scores any number of rows in batches of few shapes, compiled once each.

Rows are sorted by length, so that short ones do not pay for the padding of long ones, and come back
in their own order. The last batch is filled up with empty rows, which the decoder skips.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from flan_jax.data import eval_data
from flan_jax.decode import api
from flan_jax.decode.config import DecodeConfig
from flan_jax.eval.journal import Journal
from flan_jax.eval.progress import Progress, Say
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.base import BaseModel

# Input lengths that are compiled: the configured one, a half and a quarter of it, no shorter
# than this. More shapes would save less time than compiling them takes.
_SHORTEST_BUCKET = 32
_NUM_BUCKETS = 3

# Most options times tokens of a question whose options are scored together: logits of all of them
# are in memory at once.
_MOST_OPTION_TOKENS = 64
_LONG = (0, 0)

# What decoding reads of a batch, of an encoder-decoder and of a decoder alone.
READ = ("encoder_input_tokens", "decoder_prefix_tokens", "decoder_prefix_lengths")

# What has been compiled in this process, to say so before the wait.
_COMPILED: set[Any] = set()


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The outputs of one row, best first, without padding.

    Attributes:
      tokens: up to K int32 vectors, the end token included.
      scores: as many numbers, see `decode.DecodeOutput`.
    """

    tokens: tuple[np.ndarray, ...]
    scores: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Score:
    """The score of one row's targets.

    Attributes:
      log_likelihood: in nats, summed over tokens.
      num_tokens: scored.
      num_greedy: of these, the ones that are the likeliest of all in their place.
    """

    log_likelihood: float
    num_tokens: int
    num_greedy: int


@dataclasses.dataclass(frozen=True)
class OptionScore:
    """`Score` of each option of a row."""

    log_likelihoods: tuple[float, ...]
    num_tokens: tuple[int, ...]
    num_greedy: tuple[int, ...]


def length_buckets(longest: int) -> list[int]:
    """The input lengths that are compiled, ascending: `longest`, and parts of it.

    >>> length_buckets(512), length_buckets(64), length_buckets(20)
    ([128, 256, 512], [32, 64], [20])
    """
    parts = [-(-longest // 2**i) for i in range(_NUM_BUCKETS)]
    return sorted({part for part in parts if part >= _SHORTEST_BUCKET} | {longest})


def whole_batch(partitioner: PjitPartitioner, batch_size: int) -> int:
    """Returns the next batch size that the mesh can share evenly."""
    return -(-batch_size // partitioner.batch_divisor) * partitioner.batch_divisor


def with_end_token(config: DecodeConfig, end_token: int | None) -> DecodeConfig:
    """Returns the configuration with the vocabulary's end token in place of the default one.

    Args:
      config: how to decode. An `eos_id` other than the default is somebody's choice and stays.
      end_token: the vocabulary's, None if it has none.
    """
    if end_token is None or config.eos_id != DecodeConfig.eos_id:
        return config
    return dataclasses.replace(config, eos_id=int(end_token))


class Predictor:
    """Decodes and scores rows of one model on one mesh.

    Attributes:
      lengths: most tokens of a row's 'inputs' (0 without any) and 'targets'.
      compile_s: seconds spent compiling so far.
    """

    def __init__(
        self,
        model: BaseModel,
        params: Any,
        partitioner: PjitPartitioner,
        batch_size: int,
        lengths: Mapping[str, int],
        say: Say = print,
        journal: Journal | None = None,
    ):
        """Keeps the arguments.

        Args:
          model: the model.
          params: its parameters, on the partitioner's mesh.
          partitioner: the mesh; `batch_size` is rounded up to a multiple of its batch divisor.
          batch_size: rows of a batch.
          lengths: most tokens of a row's 'inputs' and 'targets'; a decoder alone may do without
            'inputs', and then starts from nothing.
          say: receives progress lines.
          journal: keeps the results of each batch, and gives those it has.

        Raises:
          ConfigError: the model needs a length of 'inputs'.
        """
        model.row_layout.check_lengths(lengths, "task_feature_lengths")
        self._model, self._params, self._partitioner = model, params, partitioner
        self._batch_size = whole_batch(partitioner, batch_size)
        self.lengths = {"inputs": 0, **lengths}
        self._say, self._journal = say, journal
        self.compile_s = 0.0

    def predict(
        self,
        examples: Sequence[Mapping[str, Any]],
        config: DecodeConfig,
        *,
        row_ids: Sequence[int] | None = None,
        seed: int = 0,
        what: str = "decoding",
    ) -> list[Prediction]:
        """Decodes the 'inputs' of every example.

        Args:
          examples: int32 token vectors by feature name.
          config: how to decode; without a `max_decode_length` it is the length of 'targets'.
          row_ids: int32; what a row's random draws depend on besides `seed`. Row numbers by
            default.
          seed: of the draws.
          what: named in progress lines.
        """
        ids_N = np.arange(len(examples)) if row_ids is None else np.asarray(row_ids)
        key = jax.random.key(seed)
        if config.max_decode_length is None:
            config = dataclasses.replace(config, max_decode_length=self.lengths["targets"])

        def arrays(batch):
            ids_B = np.zeros(self._batch_size, np.int32)
            ids_B[: len(batch.indices)] = ids_N[batch.indices]
            read = {name: batch.features[name] for name in READ if name in batch.features}
            return {**read, "row_ids": ids_B}

        def run(batch):
            return jit_decode(self._model, self._partitioner, config, self._params, batch, key)

        def split(out, position):
            # A beam search may have found fewer outputs than asked for; one always stays.
            count = max(1, int(np.isfinite(out.scores_BxK[position]).sum()))
            lengths_K = out.lengths_BxK[position][:count]
            outputs = zip(out.tokens_BxKxT[position], lengths_K, strict=False)
            scores = [float(score) for score in out.scores_BxK[position][:count]]
            return [tokens[:length].tolist() for tokens, length in outputs], scores

        def whole(outputs, scores):
            return Prediction(tuple(np.array(t, np.int32) for t in outputs), tuple(scores))

        name = f"{config.method} decoding of {config.max_decode_length} tokens"
        work = _Work(name, (config,), (seed,), arrays, run, split, whole)
        return self._run(self._prefixes(examples), work, what)

    def score(self, examples: Sequence[Mapping[str, Any]], *, what: str = "scoring") -> list[Score]:
        """Scores the 'targets' of every example given its 'inputs'.

        Inputs play no part in the score, whatever the model's loss is on; the task's loss weights
        do.

        Args:
          examples: int32 token vectors by feature name.
          what: named in progress lines.
        """

        def run(batch):
            return jit_score(self._model, self._partitioner, self._params, batch)

        def split(out, position):
            sums_B, weights_B, correct_B = out
            return float(sums_B[position]), int(weights_B[position]), int(correct_B[position])

        name = f"scoring of {self.lengths['targets']} tokens"
        layout = dataclasses.replace(self._model.row_layout, loss_on="targets")
        batches = eval_data.EvalBatches(
            examples,
            self.lengths,
            self._batch_size,
            input_buckets=length_buckets(self.lengths["inputs"]),
            layout=layout,
        )
        work = _Work(name, (), (), lambda batch: batch.features, run, split, Score)
        return self._run(batches, work, what)

    def rank(
        self,
        inputs: Sequence[np.ndarray],
        options: Sequence[Sequence[np.ndarray]],
        *,
        what: str = "ranking",
    ) -> list[OptionScore]:
        """Scores several targets for each input.

        An input is run once for all its options, unless these are many and long: then each is a
        row of `score`.

        Args:
          inputs: int32 token vectors.
          options: for each input, at least one int32 vector of at least one token, with the end
            token if it is to count.
          what: named in progress lines.
        """
        groups: dict[tuple[int, int], list[int]] = {}
        for row, each in enumerate(options):
            # Numbers of few values, as every shape has to be compiled.
            shape = _power_of_two(len(each)), _power_of_two(max(map(len, each)))
            shape = shape if math.prod(shape) <= _MOST_OPTION_TOKENS else _LONG
            groups.setdefault(shape, []).append(row)
        found: list[OptionScore | None] = [None] * len(options)
        for shape, rows in sorted(groups.items()):
            if shape == _LONG:
                scores = self._rank_one_by_one(inputs, options, rows, what)
            else:
                scores = self._rank_together(inputs, options, rows, shape, what)
            for row, score in zip(rows, scores, strict=True):
                found[row] = score
        return [score for score in found if score is not None]

    def _rank_together(self, inputs, options, rows, shape, what) -> list[OptionScore]:
        tokens_NxOxT = np.zeros((len(rows), *shape), np.int32)
        lengths_NxO = np.zeros((len(rows), shape[0]), np.int32)
        for n, row in enumerate(rows):
            for o, option in enumerate(options[row]):
                tokens_NxOxT[n, o, : len(option)] = option
                lengths_NxO[n, o] = len(option)

        def arrays(batch):
            filled = ((0, self._batch_size - len(batch.indices)), (0, 0))
            read = {name: batch.features[name] for name in READ if name in batch.features}
            return {
                **read,
                "options": np.pad(tokens_NxOxT[batch.indices], (*filled, (0, 0))),
                "option_lengths": np.pad(lengths_NxO[batch.indices], filled),
            }

        def run(batch):
            return jit_rank(self._model, self._partitioner, self._params, batch)

        def split(out, position):
            numbers = (out.tokens_BxO[position], out.correct_BxO[position])
            sums = out.log_likelihood_BxO[position].tolist()
            return sums, *(each.astype(int).tolist() for each in numbers)

        def whole(*scores):
            return OptionScore(*map(tuple, scores))

        name = f"ranking of {shape[0]} options of {shape[1]} tokens"
        batches = self._prefixes([{"inputs": inputs[row]} for row in rows])
        padded = self._run(batches, _Work(name, (), (), arrays, run, split, whole), what)
        counts = [len(options[row]) for row in rows]
        return [
            OptionScore(
                each.log_likelihoods[:count], each.num_tokens[:count], each.num_greedy[:count]
            )
            for each, count in zip(padded, counts, strict=True)
        ]

    def _rank_one_by_one(self, inputs, options, rows, what) -> list[OptionScore]:
        examples = [
            {"inputs": inputs[row], "targets": option} for row in rows for option in options[row]
        ]
        scores = iter(self.score(examples, what=what))
        found = []
        for row in rows:
            of_row = [next(scores) for _ in options[row]]
            found.append(
                OptionScore(
                    tuple(score.log_likelihood for score in of_row),
                    tuple(score.num_tokens for score in of_row),
                    tuple(score.num_greedy for score in of_row),
                )
            )
        return found

    def _prefixes(self, examples: Sequence[Mapping[str, Any]]) -> eval_data.EvalBatches:
        return eval_data.EvalBatches(
            [{"inputs": example["inputs"]} for example in examples],
            self.lengths,
            self._batch_size,
            input_buckets=length_buckets(self.lengths["inputs"]),
            layout=self._model.row_layout,
            prefixes=True,
        )

    def _run(self, batches: eval_data.EvalBatches, work: "_Work", what: str) -> list[Any]:
        """Results by example; a batch is queued before the results of the last one are read."""
        progress = Progress(what, batches.num_examples, self._say)

        def read(num_rows: int, result: Any, key: str) -> list[Any]:
            result = jax.device_get(result)
            progress.add(num_rows)
            rows = [work.split(result, position) for position in range(num_rows)]
            if self._journal is not None:
                self._journal.put(key, rows)
            return [work.whole(*row) for row in rows]

        def results() -> Iterator[list[Any]]:
            waiting: list[tuple[int, Any, str]] = []
            for batch in batches:
                arrays, key, kept = work.arrays(batch), "", None
                if self._journal is not None:
                    key = self._journal.key((work.name, *work.compiled, *work.given), arrays)
                    kept = self._journal.get(key)
                if kept is not None:
                    yield from (read(*each) for each in waiting)
                    waiting = []
                    progress.skip(len(kept))
                    yield [work.whole(*row) for row in kept]
                    continue
                is_new = self._announce((work.name, *work.compiled), batch.input_length)
                started_s = time.monotonic()
                with self._partitioner.activate():
                    result = work.run(self._partitioner.put_batch(arrays))
                if is_new:  # The call returns when it is compiled and queued.
                    self.compile_s += time.monotonic() - started_s
                yield from (read(*each) for each in waiting)
                waiting = [(len(batch.indices), result, key)]
            yield from (read(*each) for each in waiting)

        return batches.in_order(results())

    def _announce(self, kind: tuple[Any, ...], length: int) -> bool:
        """Says so if this shape has to be compiled, and returns whether it has."""
        key = (self._model, self._partitioner, kind, self._batch_size, length)
        if key in _COMPILED:
            return False
        _COMPILED.add(key)
        self._say(f"compiling {kind[0]} for batches of {self._batch_size} x {length} ...")
        return True


@dataclasses.dataclass(frozen=True)
class _Work:
    """What is done with each batch.

    Attributes:
      name: said before it is compiled.
      compiled: what the compiled program depends on besides the shapes.
      given: what else the results depend on.
      arrays: batch -> what goes to the devices.
      run: what is there -> results of the batch.
      split: results, position -> those of a row, as JSON has it.
      whole: those of a row -> what is returned.
    """

    name: str
    compiled: tuple[Any, ...]
    given: tuple[Any, ...]
    arrays: Callable[[eval_data.EvalBatch], dict[str, np.ndarray]]
    run: Callable[[Any], Any]
    split: Callable[[Any, int], tuple[Any, ...]]
    whole: Callable[..., Any]


def _power_of_two(count: int) -> int:
    """The next power of two, at least 2."""
    return max(2, 1 << (count - 1).bit_length())


# Model and partitioner are static: both are compared by identity, and hold no arrays. Results are
# replicated, so that every process can read all of them.
@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def jit_decode(model, partitioner, config, params, batch, key):
    """`api.decode_batch`, jitted, with results on every device."""
    out = api.decode_batch(model, params, batch, key, config)
    return jax.lax.with_sharding_constraint(out, partitioner.replicated)


@functools.partial(jax.jit, static_argnums=(0, 1))
def jit_score(model, partitioner, params, batch):
    """`model.score_batch`, likewise."""
    return jax.lax.with_sharding_constraint(
        model.score_batch(params, batch), partitioner.replicated
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def jit_rank(model, partitioner, params, batch):
    """`api.score_options` of the options in the batch, likewise."""
    scores = api.score_options(model, params, batch, batch["options"], batch["option_lengths"])
    return jax.lax.with_sharding_constraint(scores, partitioner.replicated)
