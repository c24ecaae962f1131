import jax
import numpy as np

from flan_jax import batch_origin
from flan_jax.mesh import PjitPartitioner

PACKED = {
    "decoder_target_tokens": np.array([[5, 6, 1, 7, 1, 0], [8, 1, 0, 0, 0, 0]], np.int32),
    "decoder_loss_weights": np.array([[1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]], np.int32),
    "decoder_segment_ids": np.array([[1, 1, 1, 2, 2, 0], [1, 1, 0, 0, 0, 0]], np.int32),
    "decoder_task_ids": np.array([[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]], np.int32),
}


def test_packed_rows_tell_their_examples():
    told = batch_origin.describe(PACKED, ["copy", "reverse"])
    assert told["tasks"] == {"copy": 1, "reverse": 2}
    assert told["rows"][0]["examples"] == [
        {"task": "reverse", "target_tokens": 3},
        {"task": "copy", "target_tokens": 2},
    ]
    assert batch_origin.format_rows(told).startswith("row 0 (")
    one = batch_origin.describe(PACKED, ["copy", "reverse"], only=[1])
    assert [row["row"] for row in one["rows"]] == [1] and one["tasks"] == {"reverse": 1}


def test_unpacked_rows_and_limits():
    batch = {name: PACKED[name] for name in PACKED if name != "decoder_segment_ids"}
    told = batch_origin.describe(batch, ["copy", "reverse"], most=1)
    assert told["rows"][0]["examples"] == [{"task": "reverse", "target_tokens": 5}]
    assert told["rows_not_listed"] == 1
    assert batch_origin.format_rows(told).endswith("; 1 more")


def test_hashes_do_not_depend_on_where_the_rows_lie():
    batch = {name: np.tile(values, (4, 1)) for name, values in PACKED.items()}
    expected = batch_origin.describe(batch, ["a", "b"])
    placed = PjitPartitioner(num_partitions=2).put_batch(batch)
    assert batch_origin.describe(placed, ["a", "b"]) == expected
    assert isinstance(next(iter(placed.values())), jax.Array)
    changed = {**batch, "decoder_target_tokens": batch["decoder_target_tokens"] + 1}
    hashes = [row["sha256"] for row in expected["rows"]]
    assert hashes[0] == hashes[2] != hashes[1]
    assert hashes[0] != batch_origin.describe(changed, ["a", "b"])["rows"][0]["sha256"]
