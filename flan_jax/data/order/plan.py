"""step -> examples in rows, for any step at once: spans, windows of them, rows of those.

A span is a stretch of steps with unchanging shares: a stage, or the part of one between tasks that
leave. It is divided into windows of a whole number of steps.
"""

import bisect
import collections
import contextlib
import dataclasses
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from flan_jax.data.order import rates, windows
from flan_jax.data.order.examples import Examples
from flan_jax.data.order.permutation import key_of
from flan_jax.data.order.settings import Settings
from flan_jax.data.order.shares import BlockCounts
from flan_jax.data.order.windows import BLOCK, Packing, Sizing, Span, Window
from flan_jax.errors import ConfigError, DataError

_KEPT_WINDOWS = 3
# Numbers of steps of a window that are compared for how full they leave its rows.
_TRIED_STEPS = 16
_MOST_BLOCK_COUNTS = 1 << 22
# Steps that no run reaches.
_ENDLESS = 1 << 40


@dataclasses.dataclass(frozen=True)
class StepRows:
    """What a step's rows hold.

    Attributes:
      task_S: tasks of the examples, row after row, segment after segment.
      number_S: the examples, numbered over all tasks.
      example_S: the examples, numbered within their tasks.
      row_S: which row of the batch each is in; rows may be empty.
    """

    task_S: np.ndarray
    number_S: np.ndarray
    example_S: np.ndarray
    row_S: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Windows:
    """A run of windows alike: how many, steps and blocks of each."""

    number: int
    steps: int
    blocks: int


@dataclasses.dataclass(frozen=True)
class _Stretch:
    """A span with its steps.

    Attributes:
      first: its first step.
      span: its draws.
      parts: its windows, the longer ones first.
      packing: of its rows.
      shares: of the tasks.
    """

    first: int
    span: Span
    parts: tuple[_Windows, ...]
    packing: Packing
    shares: tuple[float, ...]

    def window_at(self, step: int) -> tuple[int, int, int, int]:
        """Returns (its first step, steps, first block, blocks) of the window with a step."""
        left, first, block = step - self.first, self.first, 0
        for part in self.parts:
            number = min(left // part.steps, part.number)
            if number < part.number:
                start = number * part.steps
                return first + start, part.steps, block + number * part.blocks, part.blocks
            left -= part.number * part.steps
            first += part.number * part.steps
            block += part.number * part.blocks
        raise AssertionError("a step behind the stretch")

    @property
    def end(self) -> int:
        """The step behind its last."""
        return self.first + sum(part.number * part.steps for part in self.parts)


class Plan:
    """Rows of every step of a mixture.

    Attributes:
      examples: of its tasks.
      batch_size: rows of a step.
      packed: whether rows hold more than one example.
    """

    def __init__(
        self,
        examples: Examples,
        own_rates: Sequence[float],
        *,
        batch_size: int,
        pack: bool,
        seed: int,
        settings: Settings | None = None,
    ):
        """Lays the spans out.

        Args:
          examples: of the mixture's tasks.
          own_rates: the tasks' rates in the mixture.
          batch_size: rows of a step.
          pack: whether to put several examples into a row.
          seed: of the order.
          settings: windows, stages, epochs.

        Raises:
          ConfigError, NotFoundError: stages or epochs that cannot be met.
        """
        self.examples, self.batch_size, self.packed = examples, batch_size, pack
        self._settings = settings = settings or Settings()
        self._seed = seed
        self._kept: collections.OrderedDict[int, Future[Window]] = collections.OrderedDict()
        self._lock = threading.Lock()
        self._limit_K = self._epoch_limits(settings.max_epochs or {})
        self._stretches: list[_Stretch] = []
        self._end = _ENDLESS
        stages = dict(settings.stages or {})
        starts = sorted({0, *stages})
        shares = [
            rates.shares(
                examples.names,
                own_rates,
                self._rows_K.tolist(),
                stages.get(start, {}),
                f"order.Settings.stages[{start}]",
            )
            for start in starts
        ]
        drawn_K = np.zeros(len(examples.names), np.int64)
        for start, stop, each in zip(starts, [*starts[1:], _ENDLESS], shares, strict=True):
            drawn_K = self._add_stage(start, stop, each, drawn_K)
            if self._end < _ENDLESS:
                break

    @property
    def end(self) -> int | None:
        """The step behind the last; None for a stream without end."""
        return None if self._end >= _ENDLESS else self._end

    def shares_at(self, step: int) -> tuple[float, ...]:
        """Returns each task's share of the draws at a step."""
        return self._stretch_at(step)[1].shares

    def starts(self) -> list[int]:
        """Returns the steps at which shares change, the first (0) included."""
        return [stretch.first for stretch in self._stretches]

    def step_rows(self, step: int, first: int = 0, stop: int | None = None) -> StepRows:
        """Returns the examples of rows `first` to before `stop` of a step; all by default.

        Raises:
          DataError: the stream ends before that step, or a window's rows do not suffice.
        """
        window, number = self._window_of(step)
        stop = self.batch_size if stop is None else stop
        low = number * self.batch_size
        first_R = window.first_R[low + first : low + stop + 1]
        part = slice(int(first_R[0]), int(first_R[-1]))
        task_S, number_S = window.task_S[part], window.number_S[part]
        return StepRows(
            task_S,
            number_S,
            number_S - self.examples.first_K[task_S],
            np.repeat(np.arange(first, stop), np.diff(first_R)),
        )

    def prepare_next(self, step: int) -> None:
        """Computes the next window in a thread, once a step lies in the second half of its own."""
        _, stretch = self._stretch_at(step)
        start, steps, _, _ = stretch.window_at(step)
        after = start + steps
        if step - start < steps // 2 or after >= self._end:
            return
        with self._lock:
            is_known = after in self._kept
        if not is_known:
            # What fails here fails again, and is raised, when the step is asked for.
            threading.Thread(target=self._try_window, args=(after,), daemon=True).start()

    def _try_window(self, step: int) -> None:
        with contextlib.suppress(DataError):
            self._window_of(step)

    def summary(self) -> list[dict[str, Any]]:
        """Returns for each span what is known of its rows beforehand, as JSON-able values.

        `first_step`, `window_steps`, `window_examples`, `examples_per_row`, `lower_bound` (rows
        that the tokens of a window fill), `rows` (of a window), `over_lower_bound`, `fill` of both
        sides as of `stats`, `tightness` of the packing, and the `shares` by task.
        """
        found = []
        for stretch in self._stretches:
            part = stretch.parts[0]
            draws_K = np.array(stretch.shares) * part.blocks * stretch.span.counts.block
            load_2 = (draws_K[:, None] * self.examples.mean_Kx2).sum(axis=0)
            rows = part.steps * self.batch_size
            bound = float(load_2.max()) if self.packed else rows
            found.append(
                {
                    "first_step": stretch.first,
                    "window_steps": part.steps,
                    "window_examples": part.blocks * stretch.span.counts.block,
                    "rows": rows,
                    "lower_bound": bound,
                    "over_lower_bound": rows / bound - 1,
                    "examples_per_row": part.blocks * stretch.span.counts.block / rows,
                    "fill": (load_2 / rows).tolist(),
                    "tightness": stretch.packing.tightness,
                    "shares": dict(zip(self.examples.names, stretch.shares, strict=True)),
                }
            )
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_kept": collections.OrderedDict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    # ------------------------------------------------------------------------ the spans

    @property
    def _rows_K(self) -> np.ndarray:
        """Rows that each task was prepared from: its examples of one rendering."""
        return self.examples.epochs.rows_K

    def _epoch_limits(self, max_epochs: Mapping[str, float]) -> np.ndarray:
        """Draws of each task after which it leaves."""
        names = self.examples.names
        pattern_of = rates.matching(list(max_epochs), names, "order.Settings.max_epochs")
        limit_K = np.full(len(names), np.iinfo(np.int64).max)
        for i, name in enumerate(names):
            if name in pattern_of:
                limit_K[i] = np.ceil(max_epochs[pattern_of[name]] * self._rows_K[i])
        return limit_K

    def _add_stage(
        self, start: int, stop: int, shares: Sequence[float], drawn_K: np.ndarray
    ) -> np.ndarray:
        """Adds the stretches of one stage; returns the draws of each task before the next."""
        while start < stop:
            left_K = np.where(drawn_K < self._limit_K, np.array(shares), 0.0)
            if not left_K.any():
                self._end = start
                return drawn_K
            left_K /= left_K.sum()
            stretch = self._stretch(start, stop, left_K.tolist(), drawn_K)
            stretch = self._cut(stretch)
            self._stretches.append(stretch)
            blocks = sum(part.number * part.blocks for part in stretch.parts)
            drawn_K = stretch.span.drawn(blocks)
            start = stretch.end
        return drawn_K

    def _stretch(
        self, start: int, stop: int, shares: Sequence[float], drawn_K: np.ndarray
    ) -> _Stretch:
        settings, batch = self._settings, self.batch_size
        key = key_of(self._seed, "span", start)
        if not self.packed:
            return self._single_stretch(start, stop, shares, drawn_K, key)
        block = min(BLOCK, settings.window)
        span = Span(key, BlockCounts(shares, block), drawn_K)
        sizing = Sizing(self.examples, span, settings.window, settings.max_segments)
        wanted = -(-sizing.rows(max(1, settings.window // block)) // batch)
        if stop >= _ENDLESS:
            tried = range(wanted, wanted + _TRIED_STEPS)
            steps = max(tried, key=lambda n: _blocks_in(n * batch, sizing) / n)
            parts = [_Windows(-(-_ENDLESS // steps), steps, _blocks_in(steps * batch, sizing))]
        else:
            number = max(1, (stop - start) // wanted)
            steps, longer = divmod(stop - start, number)
            parts = [
                _Windows(count, each, _blocks_in(each * batch, sizing))
                for count, each in ((longer, steps + 1), (number - longer, steps))
                if count
            ]
        if any(part.blocks == 0 for part in parts):
            raise ConfigError(
                f"From step {start} there are {parts[-1].steps} steps of {batch} rows to the next "
                f"stage, and packing takes at least {sizing.rows(1)} rows at a time. Move the "
                "stages of order.Settings further apart, or lower order.Settings.window below "
                f"{block}."
            )
        return _Stretch(start, span, tuple(parts), sizing.packing, tuple(shares))

    def _single_stretch(
        self, start: int, stop: int, shares: Sequence[float], drawn_K: np.ndarray, key: int
    ) -> _Stretch:
        """Of unpacked rows, where a block is a whole number of steps."""
        steps = -(-BLOCK // self.batch_size)
        total = -(-_ENDLESS // steps) * steps if stop >= _ENDLESS else stop - start
        while total % steps:
            steps -= 1
        block = steps * self.batch_size
        most = max(1, min(self._settings.window // block, _MOST_BLOCK_COUNTS // len(shares)))
        blocks = total // steps
        parts = [_Windows(blocks // most, steps * most, most)]
        if blocks % most:
            parts.append(_Windows(1, steps * (blocks % most), blocks % most))
        parts = [part for part in parts if part.number]
        span = Span(key, BlockCounts(shares, block), drawn_K)
        return _Stretch(start, span, tuple(parts), Packing(1), tuple(shares))

    def _cut(self, stretch: _Stretch) -> _Stretch:
        """Ends a stretch before the first window that a task is to leave at."""
        span = stretch.span
        limit_K = np.where(np.array(stretch.shares) > 0, self._limit_K, np.iinfo(np.int64).max)
        if (limit_K == np.iinfo(np.int64).max).all():
            return stretch
        kept, block = [], 0
        for part in stretch.parts:
            # The first window of the part at whose end a task has been given often enough.
            number = bisect.bisect_left(
                range(part.number),
                True,
                key=lambda n, block=block, part=part: bool(
                    (span.drawn(block + (n + 1) * part.blocks) >= limit_K).any()
                ),
            )
            kept.append(dataclasses.replace(part, number=min(part.number, number + 1)))
            if number < part.number:
                break
            block += part.number * part.blocks
        return dataclasses.replace(stretch, parts=tuple(kept))

    # ------------------------------------------------------------------------ the windows

    def _stretch_at(self, step: int) -> tuple[int, _Stretch]:
        if step < 0:
            raise ValueError(f"step {step}")
        if step >= self._end:
            raise DataError(
                f"The prepared data end before step {step}: after {self._end} steps every task has "
                "been given as often as order.Settings.max_epochs allows. Train for fewer steps, "
                "or allow more epochs."
            )
        number = bisect.bisect_right(self.starts(), step) - 1
        return number, self._stretches[number]

    def _window_of(self, step: int) -> tuple[Window, int]:
        """Returns the window of a step, and which of its steps it is."""
        _, stretch = self._stretch_at(step)
        start, steps, block, blocks = stretch.window_at(step)
        with self._lock:
            found = self._kept.get(start)
            is_new = found is None
            if found is None:
                found = self._kept[start] = Future()
            self._kept.move_to_end(start)
            while len(self._kept) > _KEPT_WINDOWS:
                self._kept.popitem(last=False)
        if is_new:
            # Outside the lock: steps of other windows are had meanwhile.
            try:
                found.set_result(self._made(stretch, block, blocks, steps * self.batch_size))
            except BaseException as error:
                with self._lock:
                    self._kept.pop(start, None)
                found.set_exception(error)
        return found.result(), step - start

    def _made(self, stretch: _Stretch, block: int, blocks: int, rows: int) -> Window:
        if not self.packed:
            return windows.single_rows(self.examples, stretch.span, block, blocks)
        return windows.window(self.examples, stretch.span, block, blocks, rows, stretch.packing)


def _blocks_in(rows: int, sizing: Sizing) -> int:
    """Returns the most blocks that fit into so many rows; 0 where one does not."""
    high = 1
    while sizing.rows(high) <= rows:
        high *= 2
    return bisect.bisect_right(range(1, high), rows, key=sizing.rows)
