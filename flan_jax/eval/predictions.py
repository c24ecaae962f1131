"""Predicts and scores any number of rows in batches of few shapes, compiled once each.

Rows are sorted by length, so that short ones do not pay for the padding of long ones, and come back
in their own order. The last batch is filled up with empty rows, which the decoder skips.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from flan_jax import telemetry
from flan_jax.data import eval_data
from flan_jax.data.layout import RowLayout
from flan_jax.decode import api
from flan_jax.decode.config import DecodeConfig
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.base import BaseModel

Say = Callable[[str], None]

# Input lengths that are compiled: the configured one, a half and a quarter of it, no shorter
# than this. More shapes would save less time than compiling them takes.
_SHORTEST_BUCKET = 32
_NUM_BUCKETS = 3
_PROGRESS_S = 10.0

# What decoding reads of a batch, of an encoder-decoder and of a decoder alone.
_DECODED_FROM = ("encoder_input_tokens", "decoder_prefix_tokens", "decoder_prefix_lengths")

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
    """Log-likelihood of one row's targets, in nats, and the number of tokens scored."""

    log_likelihood: float
    num_tokens: int


class Progress:
    """Says at most every ten seconds how far a run of batches is, and how long it will take."""

    def __init__(self, what: str, total: int, say: Say, unit: str = "rows"):
        self._what, self._total, self._say, self._unit = what, total, say, unit
        self._done = 0
        self._start_s = self._last_s = time.monotonic()

    def add(self, count: int) -> None:
        """Counts what has been finished."""
        self._done += count
        now_s = time.monotonic()
        if now_s - self._last_s < _PROGRESS_S or self._done >= self._total:
            return
        self._last_s = now_s
        left_s = (now_s - self._start_s) / self._done * (self._total - self._done)
        self._say(
            f"{self._what}: {self._done}/{self._total} {self._unit}, "
            f"{100 * self._done / self._total:.0f}%, ETA {telemetry.format_duration(left_s)}"
        )


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

        Raises:
          ConfigError: the model needs a length of 'inputs'.
        """
        model.row_layout.check_lengths(lengths, "task_feature_lengths")
        self._model, self._params, self._partitioner = model, params, partitioner
        self._batch_size = whole_batch(partitioner, batch_size)
        self.lengths = {"inputs": 0, **lengths}
        self._say = say
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

        def run(features, indices):
            ids_B = np.zeros(self._batch_size, np.int32)
            ids_B[: len(indices)] = ids_N[indices]
            read = {name: features[name] for name in _DECODED_FROM if name in features}
            batch = self._partitioner.put_batch({**read, "row_ids": ids_B})
            with self._partitioner.activate():
                return _decode(self._model, self._partitioner, config, self._params, batch, key)

        def split(out, position):
            # A beam search may have found fewer outputs than asked for; one always stays.
            count = max(1, int(np.isfinite(out.scores_BxK[position]).sum()))
            lengths_K = out.lengths_BxK[position][:count]
            return Prediction(
                tuple(t[:n] for t, n in zip(out.tokens_BxKxT[position], lengths_K, strict=False)),
                tuple(float(score) for score in out.scores_BxK[position][:count]),
            )

        name = f"{config.method} decoding of {config.max_decode_length} tokens"
        inputs = [{"inputs": example["inputs"]} for example in examples]
        layout = self._model.row_layout
        batches = self._batches(inputs, layout, prefixes=True)
        return self._run(batches, run, split, (name, config), what)

    def score(self, examples: Sequence[Mapping[str, Any]], *, what: str = "scoring") -> list[Score]:
        """Scores the 'targets' of every example given its 'inputs'.

        Inputs play no part in the score, whatever the model's loss is on; the task's loss weights
        do.

        Args:
          examples: int32 token vectors by feature name.
          what: named in progress lines.
        """

        def run(features, indices):
            batch = self._partitioner.put_batch(features)
            with self._partitioner.activate():
                return _score(self._model, self._partitioner, self._params, batch)

        def split(out, position):
            sums_B, weights_B = out
            return Score(float(sums_B[position]), int(weights_B[position]))

        name = f"scoring of {self.lengths['targets']} tokens"
        layout = dataclasses.replace(self._model.row_layout, loss_on="targets")
        return self._run(self._batches(examples, layout), run, split, (name,), what)

    def _batches(
        self, examples: Sequence[Mapping[str, Any]], layout: RowLayout, prefixes: bool = False
    ) -> eval_data.EvalBatches:
        return eval_data.EvalBatches(
            examples,
            self.lengths,
            self._batch_size,
            input_buckets=length_buckets(self.lengths["inputs"]),
            layout=layout,
            prefixes=prefixes,
        )

    def _run(
        self,
        batches: eval_data.EvalBatches,
        run: Callable[[Mapping[str, np.ndarray], np.ndarray], Any],
        split: Callable[[Any, int], Any],
        kind: tuple[Any, ...],
        what: str,
    ) -> list[Any]:
        """Results by example; a batch is queued before the results of the last one are read."""
        progress = Progress(what, batches.num_examples, self._say)

        def results() -> Iterator[list[Any]]:
            waiting: tuple[int, Any] | None = None
            for batch in batches:
                is_new = self._announce(kind, batch.input_length)
                started_s = time.monotonic()
                queued = (len(batch.indices), run(batch.features, batch.indices))
                if is_new:  # The call returns when it is compiled and queued.
                    self.compile_s += time.monotonic() - started_s
                if waiting is not None:
                    yield read(*waiting)
                waiting = queued
            if waiting is not None:
                yield read(*waiting)

        def read(num_rows: int, result: Any) -> list[Any]:
            result = jax.device_get(result)
            progress.add(num_rows)
            return [split(result, position) for position in range(num_rows)]

        return batches.in_order(results())

    def _announce(self, kind: tuple[Any, ...], length: int) -> bool:
        """Says so if this shape has to be compiled, and returns whether it has."""
        key = (self._model, self._partitioner, kind, self._batch_size, length)
        if key in _COMPILED:
            return False
        _COMPILED.add(key)
        self._say(f"compiling {kind[0]} for batches of {self._batch_size} x {length} ...")
        return True


# Model and partitioner are static: both are compared by identity, and hold no arrays. Results are
# replicated, so that every process can read all of them.
@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _decode(model, partitioner, config, params, batch, key):
    out = api.decode_batch(model, params, batch, key, config)
    return jax.lax.with_sharding_constraint(out, partitioner.replicated)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _score(model, partitioner, params, batch):
    return jax.lax.with_sharding_constraint(
        model.score_batch(params, batch), partitioner.replicated
    )
