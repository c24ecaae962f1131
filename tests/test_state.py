import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from flan_jax import state as state_lib
from flan_jax.adafactor import Adafactor
from flan_jax.axes import is_axes

AXES = {"kernel": ("embed", "mlp"), "scale": ("embed",)}


class TwoArrays:
    """The smallest model: something with `init`."""

    def init(self, rng):
        return {"kernel": jax.random.normal(rng, (8, 16)), "scale": jnp.ones((8,))}


@pytest.fixture
def definition():
    return Adafactor(min_dim_size_to_factor=8, beta1=0.9)


@pytest.fixture
def tx(definition):
    return definition.make(lambda step: 0.1, AXES)


def test_initial_state(tx):
    state = state_lib.init_state(TwoArrays(), tx, 0)
    assert state.step.dtype == jnp.int32 and int(state.step) == 0
    assert state.params["kernel"].dtype == jnp.float32
    assert not state.opt_state.param_states["kernel"].v_row.any()
    again = state_lib.init_state(TwoArrays(), tx, 0)
    other = state_lib.init_state(TwoArrays(), tx, 1)
    np.testing.assert_array_equal(state.params["kernel"], again.params["kernel"])
    assert (state.params["kernel"] != other.params["kernel"]).any()


def test_abstract_state_describes_the_state(tx):
    def describe(tree):
        return jax.tree.map(lambda x: (x.shape, x.dtype), tree)

    abstract = state_lib.abstract_state(TwoArrays(), tx)
    assert all(isinstance(x, jax.ShapeDtypeStruct) for x in jax.tree.leaves(abstract))
    assert describe(abstract) == describe(state_lib.init_state(TwoArrays(), tx, 0))


def test_axes_cover_every_array(tx, definition):
    abstract = state_lib.abstract_state(TwoArrays(), tx)
    axes = state_lib.state_logical_axes(abstract, AXES, definition)
    leaves, treedef = jax.tree.flatten(abstract)
    names = treedef.flatten_up_to(axes)
    assert all(is_axes(n) and len(n) == len(x.shape) for n, x in zip(names, leaves, strict=True))
    assert axes.params is AXES and axes.step == ()
    assert axes.opt_state.param_states["kernel"].v_col == ("mlp",)


def test_sharded_initialisation_gives_the_same_numbers(tx, definition):
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("fsdp", "model"))
    rules = {"embed": "fsdp", "mlp": "model", None: None}
    abstract = state_lib.abstract_state(TwoArrays(), tx)
    treedef = jax.tree.structure(abstract)
    axes = treedef.flatten_up_to(state_lib.state_logical_axes(abstract, AXES, definition))
    shardings = treedef.unflatten([NamedSharding(mesh, P(*(rules[n] for n in a))) for a in axes])
    state = state_lib.init_state(TwoArrays(), tx, 3, shardings)
    assert state.params["kernel"].sharding.spec == P("fsdp", "model")
    assert state.params["kernel"].addressable_shards[0].data.shape == (2, 8)
    assert state.opt_state.param_states["kernel"].v_row.addressable_shards[0].data.shape == (2,)
    expected = state_lib.init_state(TwoArrays(), tx, 3)
    jax.tree.map(np.testing.assert_array_equal, state, expected)
