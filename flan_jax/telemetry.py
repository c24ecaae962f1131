"""What a run shows while it works: status line, metrics.jsonl and TensorBoard curves.

`metrics.jsonl` holds one JSON object a line with `kind` (`train`, `train_eval`, `infer_eval`,
`event`), `step`, `time_s` (seconds of training time, carried over restarts) and the values. A
resumed run may write a step again; readers keep the last line of a (kind, step, task).
"""

import dataclasses
import datetime
import json
import math
import pathlib
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import numpy as np


def format_duration(seconds: float) -> str:
    """Writes a duration in seconds the way a clock reader says it.

    >>> format_duration(59.6), format_duration(192), format_duration(7384)
    ('1m00s', '3m12s', '2h03m')
    """
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def format_count(value: float) -> str:
    """Writes a count with three digits and a unit letter.

    >>> format_count(953), format_count(18230), format_count(2.5e6)
    ('953', '18.2k', '2.50M')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f}{unit}"
    return f"{value:.0f}"


def format_names(names: Sequence[str], most: int = 3) -> str:
    """Lists names, and counts those beyond the first `most`.

    >>> format_names(["a", "b", "c"]), format_names(["a", "b", "c"], most=2)
    ('a, b, c', 'a, b and 1 more')
    """
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def environment() -> str:
    """One line on where the run takes place: time, versions, devices, processes."""
    import jax

    device = jax.devices()[0]
    return (
        f"{datetime.datetime.now().isoformat(timespec='seconds')}  "
        f"jax {jax.__version__}, Python {platform.python_version()}, "
        f"{jax.device_count()} x {device.device_kind} in {jax.process_count()} processes"
    )


class Chronometer:
    """Training time and steps over all restarts, without the time spent in evaluation or saving.

    Args:
      elapsed_s: seconds of training time before this process, from the checkpoint.
    """

    def __init__(self, elapsed_s: float = 0.0):
        self._elapsed_s = elapsed_s
        self._since: float | None = None

    def start(self) -> None:
        """Counts from now on; does nothing when it already counts."""
        if self._since is None:
            self._since = time.perf_counter()

    def pause(self) -> None:
        """Stops counting until the next `start`."""
        self._elapsed_s = self.elapsed_s
        self._since = None

    @property
    def elapsed_s(self) -> float:
        """Seconds of training time so far."""
        running = 0.0 if self._since is None else time.perf_counter() - self._since
        return self._elapsed_s + running


class LossWindow:
    """Loss sums of the steps since the last status line, in float64.

    The loss of one batch tells more of the batch than of the model, so what is shown is that of all
    target tokens since the last line.

    Attributes:
      steps: added since.
    """

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        """Begins the next window."""
        self.steps = 0
        self._sums: Any = None

    def add(self, sums: Any) -> None:
        """Adds a step's `LossSums`, on the host."""
        values = {
            field.name: np.asarray(getattr(sums, field.name), np.float64)
            for field in dataclasses.fields(sums)
        }
        if self._sums is not None:
            values = {name: value + getattr(self._sums, name) for name, value in values.items()}
        self._sums = dataclasses.replace(sums, **values)
        self.steps += 1

    def pooled(self, metrics: Any) -> Any:
        """The last step's metrics with the loss sums of the window in place of the step's."""
        assert self._sums is not None
        weight = float(self._sums.weight)
        per_token = float(self._sums.loss) / weight if weight else 0.0
        return dataclasses.replace(metrics, sums=self._sums, loss_per_token=per_token)


class RateWindow:
    """Rates over the steps since the last status line.

    Attributes:
      step_s: seconds a step, of the newest window that was shown.
    """

    def __init__(self, clock: Chronometer, wait_s: Callable[[], float]):
        """Begins a window.

        Args:
          clock: seconds of training.
          wait_s: returns the seconds of them spent waiting for data.
        """
        self._clock = clock
        self._wait_s = wait_s
        self.step_s = 0.0
        self.reset()

    def reset(self) -> None:
        """Begins the next window."""
        self._steps = 0
        self._tokens = 0.0
        self._from_s = self._clock.elapsed_s
        self._wait_from_s = self._wait_s()

    def add(self, tokens: float) -> None:
        """Counts a step and its tokens, without padding."""
        self._steps += 1
        self._tokens += tokens

    def values(
        self, padded_tokens: int, step_flops: float, peak: float | None, num_devices: int
    ) -> dict[str, float | None]:
        """Tokens/s with and without padding, MFU (None for an unknown chip), data-wait share.

        Args:
          padded_tokens: of a step.
          step_flops: model FLOPs of a step.
          peak: FLOP/s of a device, or None.
          num_devices: of the mesh.
        """
        seconds = max(self._clock.elapsed_s - self._from_s, 1e-9)
        self.step_s = seconds / max(self._steps, 1)
        mfu = None if peak is None else step_flops * self._steps / seconds / (peak * num_devices)
        return {
            "tokens_per_s": self._tokens / seconds,
            "padded_tokens_per_s": padded_tokens * self._steps / seconds,
            "mfu": mfu,
            "data_wait": (self._wait_s() - self._wait_from_s) / seconds,
            "step_s": self.step_s,
        }


def status_line(
    step: int, total_steps: int, values: Mapping[str, float | None], eta_s: float
) -> str:
    """The line a person watches.

    Args:
      step: steps done.
      total_steps: steps of the whole run.
      values: `loss`, `learning_rate`, `tokens_per_s` (real tokens), `padded_tokens_per_s`, `mfu`
        (share of 1; None on a chip whose peak is not known), `data_wait` (share of 1), and where
        the devices tell it `hbm_gib` and `hbm_limit_gib`. `loss` is that of the `loss_steps` steps
        since the last line.
      eta_s: seconds to the end.

    >>> values = {"loss": 2.1344, "learning_rate": 0.01, "tokens_per_s": 18230.0,
    ...   "padded_tokens_per_s": 19000.0, "mfu": None, "data_wait": 0.003}
    >>> status_line(120, 2000, values, 192).split("  ")  # doctest: +NORMALIZE_WHITESPACE
    ['step 120/2000', '6.0%', 'loss 2.1344', 'lr 1.00e-02', '18.2k tok/s (19.0k with padding)',
     'data wait 0.3%', 'ETA 3m12s']
    """
    steps = int(values.get("loss_steps") or 1)
    over = f" (mean of {steps})" if steps > 1 else ""
    parts = [
        f"step {step}/{total_steps}",
        f"{100 * step / max(total_steps, 1):.1f}%",
        f"loss {values['loss']:.4f}{over}",
        f"lr {values['learning_rate']:.2e}",
        f"{format_count(values['tokens_per_s'] or 0)} tok/s "
        f"({format_count(values['padded_tokens_per_s'] or 0)} with padding)",
    ]
    mfu = values.get("mfu")
    if mfu is not None:
        parts.append(f"MFU {100 * mfu:.1f}%")
    if values.get("hbm_gib") is not None:
        parts.append(f"HBM {values['hbm_gib']:.1f}/{values['hbm_limit_gib']:.1f} GiB")
    parts.append(f"data wait {100 * (values['data_wait'] or 0):.1f}%")
    parts.append(f"ETA {format_duration(eta_s)}")
    return "  ".join(parts)


def memory_values(devices: Sequence[Any] | None = None) -> dict[str, float]:
    """Memory of the fullest of this process's devices, GiB: most ever in use, and how much it has.

    Args:
      devices: those looked at; all local ones by default.

    Returns:
      `hbm_gib` and `hbm_limit_gib`; empty where devices do not tell, as CPUs do not.
    """
    if devices is None:
        import jax  # Not before it is needed: pages are made without it.

        devices = jax.local_devices()
    stats = [each.memory_stats() for each in devices]
    told = [each for each in stats if each and each.get("bytes_limit")]
    if not told:
        return {}
    fullest = max(told, key=lambda each: each.get("peak_bytes_in_use", each["bytes_in_use"]))
    used = fullest.get("peak_bytes_in_use", fullest["bytes_in_use"])
    return {"hbm_gib": used / 2**30, "hbm_limit_gib": fullest["bytes_limit"] / 2**30}


class StatusPrinter:
    """Prints status lines: one line rewritten in place on a terminal, separate lines elsewhere.

    Args:
      stream: where to print; standard output by default.
      quiet: print nothing, as all hosts but the first do.
    """

    def __init__(self, stream: TextIO | None = None, quiet: bool = False):
        self._stream = stream or sys.stdout
        self._quiet = quiet
        self._rewrite = self._stream.isatty()
        self._open = 0

    def status(self, line: str) -> None:
        """Shows `line` as the present state."""
        if self._quiet:
            return
        if self._rewrite:
            self._stream.write("\r" + line.ljust(self._open))
            self._open = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def line(self, text: str) -> None:
        """Prints `text` as a line that stays."""
        if self._quiet:
            return
        if self._open:
            self._stream.write("\n")
            self._open = 0
        self._stream.write(text + "\n")
        self._stream.flush()


class MetricsWriter:
    """Appends to `metrics.jsonl` and writes the same scalars as TensorBoard events.

    Args:
      model_dir: the run's directory; created when absent.
      tensorboard: False leaves TensorBoard files (and the import of TensorFlow) out.
    """

    def __init__(self, model_dir: str | pathlib.Path, tensorboard: bool = True):
        self._dir = pathlib.Path(model_dir)
        self._dir.mkdir(parents=True, exist_ok=True)
        path = self._dir / "metrics.jsonl"
        cut_short = path.exists() and path.stat().st_size and path.read_bytes()[-1:] != b"\n"
        self._file = path.open("a", encoding="utf-8")
        if cut_short:  # A killed run can leave half a line; ours must not be glued to it.
            self._file.write("\n")
        self._tensorboard: dict[str, Any] | None = {} if tensorboard else None

    def write(self, kind: str, step: int, time_s: float, values: Mapping[str, Any]) -> None:
        """Writes one record; values are numbers, strings or JSON-able containers of them."""
        record = {"kind": kind, "step": int(step), "time_s": round(time_s, 3), **values}
        self._file.write(json.dumps(_plain(record), ensure_ascii=False) + "\n")
        self._file.flush()
        if self._tensorboard is not None and kind != "event":
            self._write_tensorboard(kind, step, values)

    def _write_tensorboard(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        from clu import metric_writers  # Imports TensorFlow, so not before it is needed.

        assert self._tensorboard is not None
        name = f"{kind}/{values['task']}" if "task" in values else kind
        if name not in self._tensorboard:
            folder = self._dir / "tensorboard" / name
            self._tensorboard[name] = metric_writers.SummaryWriter(str(folder))
        scalars = {
            key: float(value)
            for key, value in values.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        if scalars:
            self._tensorboard[name].write_scalars(int(step), scalars)

    def close(self) -> None:
        """Closes all files."""
        for writer in (self._tensorboard or {}).values():
            writer.close()
        self._file.close()


def _plain(value: Any) -> Any:
    """NumPy scalars to Python's, and numbers JSON cannot hold (NaN, infinities) to strings."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def read_metrics(model_dir: str | pathlib.Path) -> list[dict[str, Any]]:
    """Reads `metrics.jsonl`, keeping the last record of each (kind, step, task, name).

    A line cut short by a kill is passed over. Returns an empty list where there is no such file.
    """
    latest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in _records(pathlib.Path(model_dir) / "metrics.jsonl"):
        identity = (record["kind"], record["step"], record.get("task"), record.get("name"))
        latest.pop(identity, None)  # So that a step written again takes its later place.
        latest[identity] = record
    return list(latest.values())


def _records(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(record, dict) and "kind" in record and "step" in record:
                yield record
