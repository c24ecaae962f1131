"""Adafactor against a reference in NumPy float64 that knows nothing of axes.

The reference treats one array as a vector or as a matrix of rows and columns; the tests lay stacked
and multi-head arrays out as such matrices, one layer at a time.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flan_jax.adafactor import Adafactor, clip_by_global_norm
from flan_jax.axes import is_axes
from flan_jax.errors import ConfigError

STEPS = 4


def reference_step(param, grad, slots, step, factored, definition, learning_rate):
    """One update of one array, 2-D with rows first where it is factored. Returns the new array."""
    decay = 1.0 - (step - definition.step_offset + 1.0) ** (-definition.decay_rate)
    squared = grad**2 + definition.epsilon1
    if factored:
        slots["row"] = decay * slots.get("row", 0.0) + (1 - decay) * squared.mean(axis=1)
        slots["col"] = decay * slots.get("col", 0.0) + (1 - decay) * squared.mean(axis=0)
        second = np.outer(slots["row"] / slots["row"].mean(), slots["col"])
    else:
        slots["v"] = decay * slots.get("v", 0.0) + (1 - decay) * squared
        second = slots["v"]
    y = grad / np.sqrt(second)
    if definition.clipping_threshold is not None:
        y = y / max(1.0, np.sqrt((y**2).mean()) / definition.clipping_threshold)
    scale = 1.0
    if definition.multiply_by_parameter_scale:
        scale = max(np.sqrt((param**2).mean()), definition.epsilon2)
        if definition.max_parameter_scale is not None:
            scale = min(scale, definition.max_parameter_scale)
    change = learning_rate * scale * y
    if definition.beta1 is not None:
        slots["m"] = definition.beta1 * slots.get("m", 0.0) + (1 - definition.beta1) * change
        change = slots["m"]
    weight_decay = definition.weight_decay_rate or 0.0
    if definition.weight_decay_rate_lr_exponent:
        weight_decay = (
            definition.weight_decay_rate or 1.0
        ) * learning_rate**definition.weight_decay_rate_lr_exponent
    return (1 - weight_decay) * param - change


# name -> shape, logical axes, how to cut it into views the reference takes (a list of
# (index of the layer, shape of the matrix or None)), whether those are factored by default
CASES = {
    "matrix": ((128, 160), ("embed", "mlp"), [(..., (128, 160))], True),
    "tall": ((160, 128), ("vocab", "embed"), [(..., (160, 128))], True),
    "small": ((20, 160), ("embed", "mlp"), [(..., None)], False),
    "relpos": ((4, 32), ("heads", "relpos_buckets"), [(..., None)], False),
    "vector": ((20,), ("embed",), [(..., None)], False),
    "heads": ((12, 2, 6), ("embed", "heads", "kv"), [(..., (12, 12))], True),
    "stacked": (
        (12, 3, 10),
        ("embed", "layers", "mlp"),
        [(np.s_[:, i, :], (12, 10)) for i in range(3)],
        True,
    ),
    "stacked_heads": (
        (2, 3, 4, 6),
        ("layers", "heads", "kv", "embed"),
        [(np.s_[i], (12, 6)) for i in range(2)],
        True,
    ),
    "stacked_scale": (
        (20, 3),
        ("embed", "layers"),
        [(np.s_[:, i], None) for i in range(3)],
        False,
    ),
}

DEFINITIONS = {
    "default": Adafactor(),
    "momentum": Adafactor(beta1=0.9),
    # PaLM's settings.
    "palm": Adafactor(
        factored=False,
        beta1=0.9,
        global_norm_clip_threshold=1.0,
        weight_decay_rate_lr_exponent=2.0,
    ),
    "decay": Adafactor(weight_decay_rate=0.02, clipping_threshold=0.4, step_offset=-3),
    "plain": Adafactor(
        multiply_by_parameter_scale=False, clipping_threshold=None, decay_rate=0.5, epsilon1=1e-6
    ),
    "limits": Adafactor(max_parameter_scale=0.6, epsilon2=0.3, global_norm_clip_threshold=5.0),
}


def learning_rate_fn(step):
    return 0.05 / (1.0 + jnp.asarray(step, jnp.float32))


def make_step(tx):
    """One jitted update: eager dispatch of so many small operations is much slower."""

    @jax.jit
    def step(params, state, grads):
        changes, state = tx.update(grads, state, params)
        return optax.apply_updates(params, changes), state

    return step


def make_problem():
    rng = np.random.default_rng(0)
    sizes = dict(zip(CASES, np.geomspace(1e-4, 2.0, len(CASES)), strict=True))
    params = {n: rng.normal(size=c[0]) * sizes[n] for n, c in CASES.items()}
    grads = [{n: rng.normal(size=c[0]) * 0.3 for n, c in CASES.items()} for _ in range(STEPS)]
    return params, grads


@pytest.mark.parametrize("name", DEFINITIONS)
def test_equals_the_reference_over_several_steps(name):
    definition = DEFINITIONS[name]
    params, all_grads = make_problem()
    axes = {n: c[1] for n, c in CASES.items()}
    tx = definition.make(learning_rate_fn, axes)
    ours = jax.tree.map(np.float32, params)
    state = tx.init(ours)
    update = make_step(tx)
    slots = {}
    for step, grads in enumerate(all_grads):
        ours, state = update(ours, state, jax.tree.map(np.float32, grads))

        threshold = definition.global_norm_clip_threshold
        norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
        clip = 1.0 if threshold is None else min(1.0, threshold / norm)
        assert threshold is None or clip < 1.0, "the test must clip"
        for array, (_, _, views, factored) in CASES.items():
            factored = factored and definition.factored
            for i, (index, matrix) in enumerate(views):
                param = params[array][index]
                shape = matrix if factored else param.shape
                new = reference_step(
                    param.reshape(shape),
                    clip * grads[array][index].reshape(shape),
                    slots.setdefault((array, i), {}),
                    step,
                    factored,
                    definition,
                    0.05 / (1.0 + step),
                )
                params[array][index] = new.reshape(param.shape)
    assert int(state.step) == STEPS
    for array in CASES:
        np.testing.assert_allclose(ours[array], params[array], rtol=2e-5, atol=1e-7, err_msg=array)


def test_slots_are_shaped_as_in_t5x():
    params, _ = make_problem()
    axes = {n: c[1] for n, c in CASES.items()}
    slots = Adafactor(beta1=0.9).make(learning_rate_fn, axes).init(params).param_states
    unused = (1,)
    expected = {
        "matrix": ((128,), (160,), unused),
        "tall": ((128,), (160,), unused),  # The smaller dimension is the row.
        "small": (unused, unused, (20, 160)),
        "relpos": (unused, unused, (4, 32)),
        "vector": (unused, unused, (20,)),
        "heads": ((12,), (2, 6), unused),
        "stacked": ((12, 3), (3, 10), unused),
        "stacked_heads": ((2, 6), (2, 3, 4), unused),
        "stacked_scale": (unused, unused, (20, 3)),
    }
    for name, (v_row, v_col, v) in expected.items():
        found = slots[name]
        assert (found.v_row.shape, found.v_col.shape, found.v.shape) == (v_row, v_col, v), name
        assert found.m.shape == params[name].shape
    without = Adafactor().make(learning_rate_fn, axes).init(params).param_states
    assert without["heads"].m.shape == unused


@pytest.mark.parametrize("beta1", [None, 0.9])
@pytest.mark.parametrize("factored", [True, False])
def test_equals_optax_on_matrices_and_vectors(beta1, factored):
    params, all_grads = make_problem()
    names = ("matrix", "tall", "small", "vector")
    pick = {n: np.float32(params[n]) for n in names}
    axes = {n: CASES[n][1] for n in names}
    ours = Adafactor(factored=factored, beta1=beta1).make(learning_rate_fn, axes)
    theirs = optax.adafactor(learning_rate_fn, factored=factored, momentum=beta1)
    ours_params = theirs_params = pick
    ours_state, theirs_state = ours.init(pick), theirs.init(pick)
    ours_step, theirs_step = make_step(ours), make_step(theirs)
    for grads in all_grads:
        grads = {n: np.float32(grads[n]) for n in names}
        ours_params, ours_state = ours_step(ours_params, ours_state, grads)
        theirs_params, theirs_state = theirs_step(theirs_params, theirs_state, grads)
    for name in names:
        np.testing.assert_allclose(
            ours_params[name], theirs_params[name], rtol=1e-5, atol=1e-7, err_msg=name
        )


@pytest.mark.parametrize("factored", [True, False])
@pytest.mark.parametrize("layer_axis", [0, 1])
def test_a_scanned_stack_updates_like_its_layers(key, factored, layer_axis):
    # Below this size an unstacked matrix would not be factored while a stacked one is.
    definition = Adafactor(min_dim_size_to_factor=8, beta1=0.9, factored=factored)
    layers = 3
    kernels = [10.0 ** (i - 2) * x for i, x in enumerate(jax.random.normal(key, (layers, 8, 12)))]
    single = definition.make(learning_rate_fn, {f"{i}": ("embed", "mlp") for i in range(layers)})
    names = ["embed", "mlp"]
    names.insert(layer_axis, "layers")
    stacked = definition.make(learning_rate_fn, {"all": tuple(names)})
    one_by_one = {f"{i}": kernel for i, kernel in enumerate(kernels)}
    stack = {"all": jnp.stack(kernels, layer_axis)}
    single_state, stacked_state = single.init(one_by_one), stacked.init(stack)
    single_step, stacked_step = make_step(single), make_step(stacked)
    rng = np.random.default_rng(0)
    for _ in range(3):
        grads = {n: np.float32(10.0 ** int(n) * rng.normal(size=(8, 12))) for n in one_by_one}
        one_by_one, single_state = single_step(one_by_one, single_state, grads)
        stacked_grads = {"all": np.stack(list(grads.values()), layer_axis)}
        stack, stacked_state = stacked_step(stack, stacked_state, stacked_grads)
    expected = jnp.stack(list(one_by_one.values()), layer_axis)
    np.testing.assert_allclose(stack["all"], expected, rtol=1e-5)


def test_momentum_dtype():
    definition = Adafactor(beta1=0.9, dtype_momentum="bfloat16")
    tx = definition.make(learning_rate_fn)
    params = {"w": jnp.ones((4, 4))}
    _, state = tx.update({"w": jnp.ones((4, 4))}, tx.init(params), params)
    assert state.param_states["w"].m.dtype == jnp.bfloat16
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, tx.init(params))


def test_step_offset_beyond_the_step_starts_the_decay_anew():
    params = {"w": jnp.ones((4,))}
    tx = Adafactor(step_offset=1_000_000).make(learning_rate_fn)
    expected = Adafactor().make(learning_rate_fn)
    grads = {"w": jnp.arange(4.0)}
    found, _ = tx.update(grads, tx.init(params), params)
    np.testing.assert_array_equal(
        found["w"], expected.update(grads, expected.init(params), params)[0]["w"]
    )


def test_global_clip_survives_zero_gradients():
    clipped = clip_by_global_norm({"w": jnp.zeros(3)}, 1.0)
    np.testing.assert_array_equal(clipped["w"], np.zeros(3))


@pytest.mark.parametrize("definition", [Adafactor(), Adafactor(beta1=0.9, factored=False)])
def test_state_axes_follow_the_slots(definition):
    params, _ = make_problem()
    axes = {n: c[1] for n, c in CASES.items()}
    found = definition.state_logical_axes(params, axes)
    state = definition.make(learning_rate_fn, axes).init(params)
    leaves, treedef = jax.tree.flatten(state)
    names = treedef.flatten_up_to(found)
    for leaf, leaf_names in zip(leaves, names, strict=True):
        assert is_axes(leaf_names) and len(leaf_names) == leaf.ndim
        if leaf.shape == (1,):
            assert leaf_names == (None,)
    heads = found.param_states["stacked_heads"]
    if definition.factored:
        assert heads.v_row == ("layers", "embed")
        assert heads.v_col == ("layers", "heads", "kv")
        assert found.param_states["tall"].v_row == ("embed",)
        assert found.param_states["tall"].v_col == ("vocab",)
    else:
        assert heads.v == heads.m == axes["stacked_heads"]


def test_rules_may_be_given_by_name():
    rules = {"a": "row", "b": "col", "c": "unfactorized", "layers": "BATCH"}
    definition = Adafactor(logical_factor_rules=rules)
    assert definition.factor_plan("w", (2, 3, 4), ("layers", "a", "b")) == ((1, 2), (1,), (2,))
    with pytest.raises(ConfigError, match="w with axes"):
        definition.factor_plan("w", (2, 3, 4), ("a", "b", "c"))
    with pytest.raises(ConfigError, match="'a' to 'rows'.*'row'"):
        Adafactor(logical_factor_rules={"a": "rows"}).factor_plan("w", (2, 2), ("a", "a"))


def test_unknown_axis_and_missing_names_are_refused():
    with pytest.raises(ConfigError, match="'embde' of parameter encoder/w.*Did you mean 'embed'"):
        Adafactor().make(learning_rate_fn, {"encoder": {"w": ("embde", "mlp")}}).init(
            {"encoder": {"w": jnp.zeros((2, 3))}}
        )
    with pytest.raises(ConfigError, match=r"w has shape \(2, 3, 4\)"):
        Adafactor().make(learning_rate_fn).init({"w": jnp.zeros((2, 3, 4))})
