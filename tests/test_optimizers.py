import gin
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flan_jax.adafactor import Adafactor
from flan_jax.axes import is_axes
from flan_jax.errors import ConfigError
from flan_jax.optimizers import SGD, AdamW

AXES = {
    "kernel": ("embed", "mlp"),
    "stacked_scale": ("embed", "layers"),
    "bias": ("mlp",),
}


def learning_rate_fn(step):
    return 0.1 / (1.0 + jnp.asarray(step, jnp.float32))


@pytest.fixture
def params(key):
    shapes = {"kernel": (4, 6), "stacked_scale": (4, 2), "bias": (6,)}
    return {n: jax.random.normal(key, s) for n, s in shapes.items()}


def run(tx, params, steps=3):
    """Updates with gradients that are a function of the parameters."""

    @jax.jit
    def update(params, state, scale):
        grads = jax.tree.map(lambda p: jnp.cos(p * scale), params)
        changes, state = tx.update(grads, state, params)
        return optax.apply_updates(params, changes), state

    state = tx.init(params)
    for step in range(steps):
        params, state = update(params, state, step + 1.0)
    return params, state


def assert_close(found, expected):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), found, expected)


def test_adamw_equals_optax(params):
    ours = AdamW(b2=0.98, weight_decay=0.1, global_norm_clip_threshold=1.5)
    mask = {"kernel": True, "stacked_scale": False, "bias": False}
    theirs = optax.chain(
        optax.clip_by_global_norm(1.5),
        optax.adamw(learning_rate_fn, b2=0.98, weight_decay=0.1, mask=mask),
    )
    found, state = run(ours.make(learning_rate_fn, AXES), params)
    assert_close(found, run(theirs, params)[0])
    assert int(state.step) == 3


@pytest.mark.parametrize(("momentum", "nesterov"), [(None, False), (0.9, False), (0.9, True)])
def test_sgd_equals_optax(params, momentum, nesterov):
    ours = SGD(momentum=momentum, nesterov=nesterov).make(learning_rate_fn, AXES)
    theirs = optax.sgd(learning_rate_fn, momentum=momentum, nesterov=nesterov)
    assert_close(run(ours, params)[0], run(theirs, params)[0])


def test_vectors_are_not_decayed_even_when_stacked(params):
    assert AdamW().decay_mask(params, AXES) == {
        "kernel": True,
        "stacked_scale": False,
        "bias": False,
    }
    # Without names only the rank is known.
    assert AdamW().decay_mask(params, None)["stacked_scale"]


def test_no_decay_by_name(params):
    tree = {"layer": params}
    mask = AdamW(no_decay=("bias", "^layer/k")).decay_mask(tree, None)
    assert mask == {"layer": {"kernel": False, "stacked_scale": True, "bias": False}}
    with pytest.raises(ConfigError, match="'layer/kernle'.*Did you mean 'layer/kernel'"):
        AdamW(no_decay=("layer/kernle",)).make(learning_rate_fn).init(tree)
    with pytest.raises(ConfigError, match="not a regular expression"):
        AdamW(no_decay=("(",)).make(learning_rate_fn).init(tree)


def test_moments_are_float32_and_params_keep_their_dtype():
    low = {"w": jnp.ones((3, 3), jnp.bfloat16)}
    for definition in (AdamW(), SGD(momentum=0.9)):
        tx = definition.make(learning_rate_fn)
        changes, state = tx.update(low, tx.init(low), low)
        assert changes["w"].dtype == jnp.bfloat16
        moments = [x for x in jax.tree.leaves(state) if x.ndim]
        assert moments and all(x.dtype == jnp.float32 for x in moments)


@pytest.mark.parametrize(
    "definition", [AdamW(), SGD(), SGD(momentum=0.5), Adafactor(), Adafactor(beta1=0.9)]
)
def test_state_axes_match_the_state(params, definition):
    tx = definition.make(learning_rate_fn, AXES)
    leaves, treedef = jax.tree.flatten(tx.init(params))
    axes = treedef.flatten_up_to(definition.state_logical_axes(params, AXES))
    assert all(is_axes(a) and len(a) == x.ndim for a, x in zip(axes, leaves, strict=True))
    # The count is a scalar and every transformation can tell its learning rate.
    assert axes[0] == () and leaves[0].dtype == jnp.int32
    assert tx.learning_rate_fn(0) == pytest.approx(0.1)


def test_named_tuples_are_not_axes():
    assert is_axes(()) and is_axes(("embed", None))
    assert not is_axes(optax.EmptyState()) and not is_axes((1,)) and not is_axes(["embed"])


def test_gin_names():
    with gin.unlock_config():
        gin.parse_config(
            """
            OPTIMIZER = @adafactor.Adafactor()
            adafactor.Adafactor:
              decay_rate = 0.7
              logical_factor_rules = @adafactor.standard_logical_factor_rules()
            optimizers.AdamW.weight_decay = 0.01
            optimizers.SGD.momentum = 0.9
            """
        )
    try:
        assert gin.query_parameter("%OPTIMIZER").configurable.selector == "adafactor.Adafactor"
        made = Adafactor()
        assert made.decay_rate == 0.7 and made.logical_factor_rules["embed"] == "ROW"
        assert AdamW().weight_decay == 0.01
        assert SGD().momentum == 0.9
    finally:
        gin.clear_config()
