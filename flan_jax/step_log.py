"""What becomes of a step's metrics: checked for NaN, added up, written and shown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from flan_jax import flops, step, telemetry
from flan_jax.data.config import DatasetConfig
from flan_jax.errors import NanError


class StepLog:
    """Reads the metrics of every step and shows a line every `stats_period` steps.

    Attributes:
      rates: since the last line.
      loss: of the last step read, nats per target token; NaN before the first.
    """

    def __init__(
        self,
        record: Callable[[str, int, Mapping[str, Any]], None],
        printer: telemetry.StatusPrinter,
        rates: telemetry.RateWindow,
        *,
        stats_period: int,
        total_steps: int,
        task_names: Sequence[str],
        groups: Sequence[str],
        cfg: DatasetConfig,
        model_config: Any,
        trained_share: float,
    ):
        """Keeps the arguments.

        Args:
          record: (kind, step, values) -> None, writes them.
          printer: shows the line.
          rates: of the run.
          stats_period: steps between lines.
          total_steps: of the whole run; the last has a line.
          task_names: names of the entries of per-task sums.
          groups: see `step.named_metrics`.
          cfg: rows and lengths of a batch.
          model_config: sizes of the model.
          trained_share: trained parameters as a share of all.
        """
        self.rates, self.loss = rates, float("nan")
        self._record, self._printer = record, printer
        self._period, self._total_steps = stats_period, total_steps
        self._names, self._groups = task_names, groups
        lengths = cfg.input_length, cfg.target_length
        self._padded_tokens = cfg.batch_size * sum(lengths)
        self._step_flops = flops.train_flops(
            model_config, cfg.batch_size, *lengths, trained_share=trained_share
        )
        self._peak = flops.peak_flop_per_s(jax.devices()[0].device_kind)
        self._window = telemetry.LossWindow()

    def read(self, done: int, metrics: Any) -> bool:
        """Waits for the metrics of step `done` and takes them in; returns whether it had a line.

        Raises:
          NanError: the loss or the gradient is not finite.
        """
        host = jax.device_get(metrics)
        self.loss = float(host.loss_per_token)
        if not bool(host.all_finite):
            raise NanError(
                f"The loss or gradient of step {done} is not finite "
                f"(loss {self.loss:.4g}, gradient norm {float(host.grad_norm):.4g}). "
            )
        self.rates.add(float(host.encoder_tokens + host.decoder_tokens))
        self._window.add(host.sums)
        if done % self._period and done != self._total_steps:
            return False
        pooled = self._window.pooled(host)
        values = {
            "loss": float(pooled.loss_per_token),
            "loss_steps": self._window.steps,
            "step_loss": self.loss,
            **step.named_metrics(pooled, self._names, self._groups),
            **self.rates.values(
                self._padded_tokens, self._step_flops, self._peak, jax.device_count()
            ),
            **telemetry.memory_values(),
        }
        self._record("train", done, values)
        remaining_s = (self._total_steps - done) * self.rates.step_s
        self._printer.status(telemetry.status_line(done, self._total_steps, values, remaining_s))
        self._window.reset()
        self.rates.reset()
        return True
