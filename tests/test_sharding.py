import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from flan_jax import sharding
from flan_jax.errors import TopologyError
from flan_jax.mesh import PjitPartitioner


def array(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


@pytest.fixture(scope="module")
def partitioner():
    return PjitPartitioner(num_partitions=2, fsdp=2)  # data 2 x fsdp 2 x model 2


def spec(partitioner, shape, axes):
    return partitioner.shardings({"w": array(*shape)}, {"w": axes})["w"].spec


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((4, 8), ("embed", "mlp"), P("fsdp", "model")),
        ((8, 4), ("vocab", "embed"), P("model", "fsdp")),
        ((3, 4, 8), ("layers", "embed", "joined_kv"), P(None, "fsdp", "model")),
        ((2, 32), ("heads", "relpos_buckets"), P("model", None)),
        # The batch has taken fsdp, so the model width of an activation stays whole.
        ((8, 5, 4), ("batch", "length", "embed"), P(("data", "fsdp"), None, None)),
        ((4, 8), P("embed", "mlp"), P("fsdp", "model")),
        ((4, 8), (None, "mlp"), P(None, "model")),
        ((), (), P()),
        ((1,), (), P(None)),
    ],
)
def test_specs(partitioner, shape, axes, expected):
    assert spec(partitioner, shape, axes) == expected


def test_dimension_that_does_not_divide_is_whole_and_reported(partitioner):
    report = partitioner.coverage_report({"w": array(3, 8)}, {"w": ("embed", "mlp")})
    (row,) = report.rows
    assert row.spec == P(None, "model")
    assert row.reasons == ("embed is whole over fsdp: 2 does not divide 3",)
    assert "embed is whole over fsdp: 2 does not divide 3" in sharding.format_report(report)


def test_tuple_of_mesh_axes_keeps_those_that_divide():
    rules = (("embed", ("data", "fsdp")),)
    partitioner = PjitPartitioner(fsdp=4, logical_axis_rules=rules)  # data 2 x fsdp 4
    (row,) = partitioner.coverage_report({"w": array(6)}, {"w": ("embed",)}).rows
    assert row.spec == P("data")
    assert row.reasons == ("embed is whole over fsdp: 4 does not divide 3",)


def test_additional_rules_come_first(partitioner):
    rules = sharding.standard_logical_axis_rules([("embed", None), ("experts", ["data"])])
    special = PjitPartitioner(num_partitions=2, fsdp=2, logical_axis_rules=rules)
    assert spec(partitioner, (4, 8), ("embed", "mlp")) == P("fsdp", "model")
    assert spec(special, (4, 8), ("embed", "mlp")) == P(None, "model")
    assert spec(special, (4, 8), ("experts", "mlp")) == P("data", "model")


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (("embd", "mlp"), "enc/wi: dimension 0 .size 4.*'embd'.*no rule.*Did you mean 'embed'"),
        ((), r"enc/wi has shape \(4, 8\) but no logical axes"),
        (None, r"enc/wi has shape \(4, 8\) but no logical axes"),
        (P(), r"enc/wi has shape \(4, 8\) but no logical axes"),
        (("embed",), r"enc/wi.*1 logical axes \('embed',\).*2 dimensions"),
    ],
)
def test_uncovered_parameters_are_errors(partitioner, axes, message):
    with pytest.raises(TopologyError, match=message):
        partitioner.shardings({"enc": {"wi": array(4, 8)}}, {"enc": {"wi": axes}})


def test_trees_of_different_structure(partitioner):
    with pytest.raises(TopologyError, match="structure"):
        partitioner.shardings({"a": array(4)}, {"b": ("embed",)})


def test_optimizer_state_trees(partitioner):
    params = {"w": array(4, 8), "b": array(8)}
    axes = {"w": ("embed", "mlp"), "b": P("mlp")}
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    state = jax.eval_shape(tx.init, params)
    state_axes = optax.tree_map_params(
        tx, lambda _, names: names, state, axes, transform_non_params=lambda _: ()
    )
    placed = partitioner.shardings(state, state_axes)
    assert jax.tree.structure(placed) == jax.tree.structure(state)
    named = {sharding.path_name(p): s.spec for p, s in jax.tree.leaves_with_path(placed)}
    assert named["1/0/mu/w"] == P("fsdp", "model")
    assert named["1/0/nu/b"] == P("model")
    assert named["1/0/count"] == P()


def test_report_bytes_equal_what_devices_hold(partitioner):
    tree = {
        "layers_0": {"wi": jnp.ones((4, 8)), "scale": jnp.ones((3,))},
        "layers_1": {"wi": jnp.ones((4, 8)), "scale": jnp.ones((3,))},
        "step": jnp.zeros((), jnp.int32),
        "half": jnp.ones((8, 2), jnp.bfloat16),
    }
    layer = {"wi": ("embed", "mlp"), "scale": ("embed",)}
    axes = {"layers_0": layer, "layers_1": layer, "step": (), "half": ("vocab", "kv")}
    report = partitioner.coverage_report(tree, axes)
    placed = jax.device_put(tree, partitioner.shardings(tree, axes))
    held = sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(placed))
    assert report.device_bytes == held
    assert report.total_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
    assert report.replicated_bytes == 2 * 12 + 4

    short = sharding.format_report(report).splitlines()
    assert len(short) == 1 + 4 + 1
    assert any(line.split()[:2] == ["layers_*/wi", "2"] for line in short)
    long = sharding.format_report(report, long=True).splitlines()
    assert len(long) == 1 + 6 + 1
    assert f"{report.device_bytes:,} per device" in short[-1]

    rows = {row["path"]: row for row in report.as_dicts()}
    assert rows["layers_0/wi"]["spec"] == ["fsdp", "model"]
    assert rows["half"]["device_bytes"] == 8 * 2 * 2 // 2
    assert rows["layers_1/scale"]["replicated"]


def test_whole_arrays_say_why():
    partitioner = PjitPartitioner()  # Only data is larger than 1.
    tree = {"w": array(4, 8), "r": array(4, 32), "n": array(4, 4)}
    axes = {"w": ("embed", "mlp"), "r": ("heads", "relpos_buckets"), "n": (None, "embed")}
    report = partitioner.coverage_report(tree, axes)
    reasons = {row.path: "; ".join(row.reasons) for row in report.rows}
    assert (
        reasons["w"] == "embed follows fsdp, which has size 1; mlp follows model, which has size 1"
    )
    assert "relpos_buckets is kept whole by its rule" in reasons["r"]
    assert "dimension 0 has no axis name" in reasons["n"]


def test_activate_makes_logical_constraints_work(partitioner):
    def constrained(x_BxD):
        return nn.with_logical_constraint(x_BxD * 2, ("batch", "mlp"))

    x_BxD = np.ones((8, 4), np.float32)
    with partitioner.activate():
        y_BxD = jax.jit(constrained)(x_BxD)
    expected = jax.sharding.NamedSharding(partitioner.mesh, P(("data", "fsdp"), "model"))
    assert y_BxD.sharding.is_equivalent_to(expected, 2)
    # Outside, the same function runs unconstrained.
    assert len(jax.jit(lambda x: constrained(x) + 0)(x_BxD).sharding.device_set) == 1
