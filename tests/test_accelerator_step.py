"""The accelerator benchmark's cases, packed rows and figures, without an accelerator."""

import numpy as np
import pytest

from benchmarks import accelerator_step
from benchmarks.accelerator_step import Case


def test_case_is_read_with_and_without_a_layout():
    assert Case.parse("base:32:1024/256:minimal") == Case("base", 32, 1024, 256, "minimal", True)
    assert Case.parse("xl:8:512/128:none:unrolled") == Case("xl", 8, 512, 128, "none", False)
    assert Case.parse("tiny:2:8/4:none:scan").tokens == 24


@pytest.mark.parametrize("text", ["base:32:1024/256:none:flat", "base:32:1024:none", "base"])
def test_case_that_is_not_one_is_refused(text):
    with pytest.raises(ValueError, match=r"flat|unpack"):
        Case.parse(text)


def test_rows_are_full_and_positions_restart_with_each_example():
    batch = accelerator_step.packed_batch(Case("tiny", 6, 64, 16, "none", True), vocab_size=100)
    for name, tokens in (("encoder", "encoder_input_tokens"), ("decoder", "decoder_target_tokens")):
        assert batch[tokens].dtype == np.int32
        assert (batch[tokens] > 0).all()
        for ids, positions in zip(
            batch[f"{name}_segment_ids"], batch[f"{name}_positions"], strict=True
        ):
            assert ids[0] == 1 and (np.diff(ids) >= 0).all()
            expected = [sum(ids[:i] == ids[i]) for i in range(len(ids))]
            assert positions.tolist() == expected
    first = batch["decoder_positions"] == 0
    inputs, targets = batch["decoder_input_tokens"], batch["decoder_target_tokens"]
    assert (inputs[first] == 0).all()
    assert (inputs[:, 1:] == targets[:, :-1])[~first[:, 1:]].all()


def test_figures_of_an_h100_and_of_a_chip_that_is_not_known():
    case = Case("base", 32, 1024, 256, "none", True)
    found = accelerator_step.figures(case, 0.1, "NVIDIA H100 80GB HBM3")
    # Twelve layers of width 768 (12 heads of 64, feed-forward 2048, gated), by hand for one row.
    encoder = 1024 * 2 * (4 * 768**2 + 3 * 768 * 2048) + 4 * 1024**2 * 768
    decoder = 256 * 2 * (6 * 768**2 + 3 * 768 * 2048) + 1024 * 2 * 2 * 768**2
    decoder += 4 * 256 * (256 + 1024) * 768
    forward = 12 * (encoder + decoder) + 256 * 2 * 768 * 32128
    assert found["model_flops"] == 3 * 32 * forward
    assert found["mfu"] == pytest.approx(3 * 32 * forward / 0.1 / 989e12, abs=1e-4)
    assert found["tokens_per_s"] == 409600
    assert accelerator_step.figures(case, 0.1, "cpu")["mfu"] is None


def test_median_leaves_the_warm_up_out(monkeypatch):
    durations = iter([9.0, 9.0, 9.0, 3.0, 1.0, 2.0])
    clock = [0.0]
    monkeypatch.setattr(accelerator_step.time, "perf_counter", lambda: clock[0])

    def one_step():
        clock[0] += next(durations)

    assert accelerator_step.median_s(one_step, 3) == 2.0
