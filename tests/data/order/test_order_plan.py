"""Steps as arithmetic: nothing lost, nothing split, the same from any point and for any share."""

import collections
import hashlib
import pickle
import types

import numpy as np
import pytest

from flan_jax.data.layout import ENCODER_DECODER, RowLayout
from flan_jax.data.order.examples import Examples
from flan_jax.data.order.plan import Plan
from flan_jax.data.order.rates import Fraction
from flan_jax.data.order.settings import Settings
from flan_jax.errors import ConfigError, DataError, NotFoundError

LENGTHS = (64, 32)
COUNTS = {"a": 300, "b": 40, "c": 7}
RATES = [5.0, 3.0, 2.0]


def tasks(counts=None, seed=0, renderings=1):
    generator = np.random.default_rng(seed)
    return [
        types.SimpleNamespace(
            name=name,
            features=("inputs", "targets"),
            lengths_NxF=generator.integers(1, (30, 12), (count * renderings, 2)),
            flags_N=np.zeros(count * renderings, np.int32),
            renderings_N=np.tile(np.arange(renderings), count),
        )
        for name, count in (counts or COUNTS).items()
    ]


def make(batch_size=8, pack=True, layout=ENCODER_DECODER, seed=0, rates=None, **settings):
    settings.setdefault("window", 256)
    examples = Examples(tasks(), LENGTHS, layout, seed)
    return Plan(
        examples,
        RATES if rates is None else rates,
        batch_size=batch_size,
        pack=pack,
        seed=seed,
        settings=Settings(**settings),
    )


def drawn(plan, steps):
    """Counter of (task, example) over steps."""
    found = collections.Counter()
    for step in steps:
        rows = plan.step_rows(step)
        found.update(zip(rows.task_S.tolist(), rows.example_S.tolist(), strict=True))
    return found


def window_steps(plan):
    return plan.summary()[0]["window_steps"]


@pytest.mark.parametrize("layout", [ENCODER_DECODER, RowLayout("decoder_only")])
@pytest.mark.parametrize("max_segments", [None, 3])
def test_rows_hold_whole_examples_within_their_limits(layout, max_segments):
    plan = make(layout=layout, max_segments=max_segments)
    for step in range(2 * window_steps(plan)):
        rows = plan.step_rows(step)
        sizes_Sx2 = plan.examples.sizes_Xx2[rows.number_S]
        used = np.stack([np.bincount(rows.row_S, s, 8) for s in sizes_Sx2.T], axis=1)
        if layout.decoder_only:
            assert used.sum(axis=1).max() <= sum(LENGTHS)
        else:
            assert (used <= LENGTHS).all()
        assert (np.diff(rows.row_S) >= 0).all()
        if max_segments:
            assert np.bincount(rows.row_S).max() <= max_segments


def test_every_draw_is_in_one_row_and_each_epoch_has_every_example():
    plan = make()
    summary = plan.summary()[0]
    windows = 3
    found = drawn(plan, range(windows * summary["window_steps"]))
    assert found.total() == windows * summary["window_examples"]
    for task, (name, count) in enumerate(COUNTS.items()):
        times = [found[task, example] for example in range(count)]
        # The last epoch alone may lack some.
        assert max(times) - min(times) <= 1, name
        share = RATES[task] / sum(RATES)
        assert abs(sum(times) - share * found.total()) < 4


def test_unpacked_rows_hold_one_example_each():
    plan = make(pack=False, batch_size=8)
    for step in (0, 1, 1000):
        assert plan.step_rows(step).row_S.tolist() == list(range(8))
    found = drawn(plan, range(128 * 5))
    counts = [sum(found[task, i] for i in range(n)) for task, n in enumerate(COUNTS.values())]
    np.testing.assert_allclose(counts, [2560, 1536, 1024], atol=2)
    for task, count in enumerate(COUNTS.values()):
        times = [found[task, example] for example in range(count)]
        assert max(times) - min(times) <= 1


def fingerprint(plan, steps):
    digest = hashlib.sha256()
    for step in steps:
        rows = plan.step_rows(step)
        digest.update(np.stack([rows.number_S, rows.row_S]).astype("<i8").tobytes())
    return digest.hexdigest()


def test_steps_are_the_same_from_any_point_in_any_order():
    steps = [500, 3, 10**6, 4]
    plan = make()
    found = {step: fingerprint(plan, [step]) for step in steps}
    for step in steps:
        assert fingerprint(make(), [step]) == found[step]
    again = pickle.loads(pickle.dumps(plan))
    assert fingerprint(again, [10**6]) == found[10**6]
    assert len(set(found.values())) == len(steps)
    assert fingerprint(make(seed=1), [3]) != found[3]


def test_hosts_together_have_the_rows_of_one():
    plan = make(window=4096)
    for step in range(0, 501):
        whole = plan.step_rows(step)
        for hosts in (2, 4, 8):
            each = 8 // hosts
            parts = [plan.step_rows(step, host * each, (host + 1) * each) for host in range(hosts)]
            for field in ("number_S", "row_S"):
                joined = np.concatenate([getattr(part, field) for part in parts])
                assert np.array_equal(joined, getattr(whole, field))


def test_the_order_is_that_of_earlier_versions():
    """A change here makes every saved position another one: raise `iterator._VERSION`."""
    assert fingerprint(make(), [0, 100, 10**6])[:16] == GOLDEN
    assert fingerprint(make(pack=False), [0, 100, 10**6])[:16] == GOLDEN_UNPACKED


GOLDEN = "1d9c1ebb7d0a7d73"
GOLDEN_UNPACKED = "5c93f230476cb5ad"


def test_the_summary_foretells_the_fill():
    plan = make(window=4096)
    summary = plan.summary()[0]
    tokens = np.zeros(2)
    for step in range(summary["window_steps"]):
        tokens += plan.examples.sizes_Xx2[plan.step_rows(step).number_S].sum(axis=0)
    rows = summary["rows"]
    assert rows == summary["window_steps"] * 8
    fill = tokens / (rows * np.array(LENGTHS))
    np.testing.assert_allclose(fill, summary["fill"], rtol=0.02)
    assert rows / (tokens / LENGTHS).max() - 1 == pytest.approx(
        summary["over_lower_bound"], abs=0.02
    )


@pytest.mark.parametrize("pack", [True, False])
def test_stages_begin_at_their_step_and_lose_no_draw(pack):
    stages = {21: {"a": 0}, 60: {"c": Fraction(0.5)}}
    plan = make(pack=pack, batch_size=32, stages=stages)
    assert plan.starts() == [0, 21, 60]
    first, second = drawn(plan, range(21)), drawn(plan, range(21, 60))
    assert not any(task == 0 for task, _ in second)
    by_task = collections.Counter()
    for (task, _), count in second.items():
        by_task[task] += count
    assert by_task[1] / by_task.total() == pytest.approx(0.6, abs=0.005)
    # Tasks go on in their epochs where the stage before ended.
    both = first + second
    for task in (1, 2):
        times = [both[task, example] for example in range(list(COUNTS.values())[task])]
        assert max(times) - min(times) <= 1
    assert plan.shares_at(60) == pytest.approx((0.5 * 5 / 8, 0.5 * 3 / 8, 0.5))


def test_a_stage_too_short_to_pack_is_refused():
    with pytest.raises(ConfigError, match="From step 0 there are 5 steps of 8 rows"):
        make(stages={5: {"a": 0}, 6: {"a": 1}})
    with pytest.raises(NotFoundError, match=r"stages\[5\] names 'd'"):
        make(stages={5: {"d": 0}})


def test_a_task_leaves_after_its_epochs():
    plan = make(max_epochs={"b": 4, "c": 10}, window=256)
    last = plan.starts()[-1]
    assert plan.shares_at(last) == pytest.approx((1.0, 0.0, 0.0))
    found = drawn(plan, range(last + 5))
    window = plan.summary()[0]["window_examples"]
    for task, epochs in ((1, 4), (2, 10)):
        times = [found[task, i] for i in range(list(COUNTS.values())[task])]
        assert min(times) >= epochs
        assert sum(times) <= epochs * len(times) + window
    assert plan.end is None


def test_the_stream_ends_where_all_tasks_leave():
    plan = make(max_epochs={"*": 2}, window=256)
    end = plan.end
    assert end is not None
    found = drawn(plan, range(end))
    for task, count in enumerate(COUNTS.values()):
        assert min(found[task, i] for i in range(count)) >= 2
    with pytest.raises(DataError, match=f"after {end} steps every task"):
        plan.step_rows(end)


def test_renderings_change_from_epoch_to_epoch():
    examples = Examples(tasks(renderings=3), LENGTHS, ENCODER_DECODER, 0)
    settings = Settings(window=1024)
    plan = Plan(examples, RATES, batch_size=8, pack=False, seed=0, settings=settings)
    rows = np.concatenate([plan.step_rows(step).example_S for step in range(128)])
    task = np.concatenate([plan.step_rows(step).task_S for step in range(128)])
    of_c = rows[task == 2]
    counts = collections.Counter((of_c % 3).tolist())
    assert max(counts.values()) - min(counts.values()) <= 7
    assert len(set(of_c.tolist())) == 21


def test_one_task_of_one_example():
    examples = Examples(tasks({"only": 1}), LENGTHS, ENCODER_DECODER, 0)
    plan = Plan(examples, [1.0], batch_size=4, pack=True, seed=0, settings=Settings(window=64))
    assert (plan.step_rows(12345).example_S == 0).all()


@pytest.mark.parametrize(
    "field, value",
    [("window", 0), ("threads", 0), ("stages", {-1: {}}), ("max_epochs", {"a": 0})],
)
def test_settings_of_no_use(field, value):
    with pytest.raises(ConfigError, match=field):
        Settings(**{field: value})
