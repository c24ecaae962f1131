import dataclasses
import doctest
import io
import json

import numpy as np

from flan_jax import telemetry


def test_docstring_examples():
    assert doctest.testmod(telemetry).failed == 0


def test_metrics_round_trip_keeps_the_last_of_each_step(tmp_path):
    writer = telemetry.MetricsWriter(tmp_path, tensorboard=False)
    writer.write("train", 1, 0.5, {"loss": 2.0})
    writer.write("train", 2, 1.0, {"loss": float("nan")})
    writer.write("train", 1, 0.6, {"loss": 3.0})
    writer.write("infer_eval", 1, 0.6, {"task": "a", "exact_match": 50.0})
    writer.write("infer_eval", 1, 0.6, {"task": "b", "exact_match": 60.0})
    writer.close()
    records = telemetry.read_metrics(tmp_path)
    assert [(r["kind"], r["step"], r.get("task")) for r in records] == [
        ("train", 2, None),
        ("train", 1, None),
        ("infer_eval", 1, "a"),
        ("infer_eval", 1, "b"),
    ]
    assert records[0]["loss"] == "nan" and records[1]["loss"] == 3.0


def test_a_line_cut_short_by_a_kill_spoils_no_other(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"kind": "train", "step": 1, "lo')
    writer = telemetry.MetricsWriter(tmp_path, tensorboard=False)
    writer.write("train", 2, 1.0, {"loss": 1.0})
    writer.close()
    assert [record["step"] for record in telemetry.read_metrics(tmp_path)] == [2]


def test_tensorboard_files_hold_the_scalars(tmp_path):
    writer = telemetry.MetricsWriter(tmp_path)
    writer.write("train", 7, 0.5, {"loss": 2.5, "note": "text"})
    writer.close()
    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.util import tensor_util

    events = event_accumulator.EventAccumulator(
        str(tmp_path / "tensorboard" / "train"), size_guidance={"tensors": 0}
    )
    events.Reload()
    (event,) = events.Tensors("loss")
    assert event.step == 7 and tensor_util.make_ndarray(event.tensor_proto) == 2.5


def test_chronometer_pauses_and_carries_over(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(telemetry.time, "perf_counter", lambda: now[0])
    clock = telemetry.Chronometer(elapsed_s=10.0)
    clock.start()
    now[0] += 5
    assert clock.elapsed_s == 15
    clock.pause()
    now[0] += 50
    assert clock.elapsed_s == 15
    clock.start()
    clock.start()
    now[0] += 2
    assert clock.elapsed_s == 17


def test_status_goes_in_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    printer = telemetry.StatusPrinter(stream)
    printer.status("step 1")
    printer.status("step 2")
    printer.line("done")
    assert stream.getvalue() == "step 1\nstep 2\ndone\n"


def test_status_is_rewritten_in_place_on_a_terminal():
    stream = io.StringIO()
    stream.isatty = lambda: True
    printer = telemetry.StatusPrinter(stream)
    printer.status("step 100")
    printer.status("step 2")
    printer.line("done")
    assert stream.getvalue() == "\rstep 100\rstep 2  \ndone\n"


def test_mfu_is_shown_only_where_the_chip_is_known():
    values = dict.fromkeys(("loss", "learning_rate", "tokens_per_s", "padded_tokens_per_s"), 1.0)
    values |= {"data_wait": 0.0, "mfu": None}
    assert "MFU" not in telemetry.status_line(1, 2, values, 1)
    assert "MFU 41.2%" in telemetry.status_line(1, 2, {**values, "mfu": 0.412}, 1)


def test_metrics_are_plain_json(tmp_path):
    import numpy as np

    writer = telemetry.MetricsWriter(tmp_path, tensorboard=False)
    writer.write("event", 1, 0.0, {"x": np.float32(0.5), "y": {"z": np.int64(3)}})
    writer.close()
    record = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert record["x"] == 0.5 and record["y"] == {"z": 3}


def test_the_loss_shown_is_of_all_tokens_since_the_last_line():
    from flan_jax.losses import LossSums
    from flan_jax.step import StepMetrics, named_metrics

    def metrics(loss, weight, task_loss, task_weight):
        sums = LossSums(loss, loss, 0.0, 1.0, weight, np.array(task_loss), np.array(task_weight))
        zeros = dict.fromkeys((f.name for f in dataclasses.fields(StepMetrics)), np.float32(0))
        return StepMetrics(**{**zeros, "sums": sums, "loss_per_token": loss / weight})

    window = telemetry.LossWindow()
    window.add(metrics(30.0, 10.0, [30.0, 0.0], [10.0, 0.0]).sums)
    last = metrics(2.0, 2.0, [0.0, 2.0], [0.0, 2.0])
    window.add(last.sums)
    pooled = window.pooled(last)
    # 32 nats over 12 tokens; the mean of the two steps' losses would be 2.
    assert pooled.loss_per_token == 32 / 12 and window.steps == 2
    named = named_metrics(pooled, ["a", "b"])
    assert (named["task_loss/a"], named["task_loss/b"]) == (3.0, 1.0)
    assert named["cross_entropy"] == 32 / 12 and named["loss_weight"] == 12
    window.reset()
    window.add(last.sums)
    assert window.pooled(last).loss_per_token == 1.0


def test_memory_is_that_of_the_fullest_device():
    class Device:
        def __init__(self, **stats):
            self.memory_stats = lambda: stats or None

    gib = 2**30
    full = Device(bytes_in_use=gib, peak_bytes_in_use=3 * gib, bytes_limit=4 * gib)
    half = Device(bytes_in_use=2 * gib, peak_bytes_in_use=2 * gib, bytes_limit=4 * gib)
    assert telemetry.memory_values([half, full]) == {"hbm_gib": 3.0, "hbm_limit_gib": 4.0}
    assert telemetry.memory_values([Device()]) == {} and telemetry.memory_values() == {}
    values = dict.fromkeys(("loss", "learning_rate", "tokens_per_s", "padded_tokens_per_s"), 1.0)
    line = telemetry.status_line(
        1, 2, {**values, "data_wait": 0.0, "loss_steps": 5, "hbm_gib": 3.0, "hbm_limit_gib": 4.0}, 1
    )
    assert "HBM 3.0/4.0 GiB" in line and "loss 1.0000 (mean of 5)" in line
