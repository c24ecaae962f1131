import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from flan_jax import adafactor, nonfinite, state, step
from flan_jax.models import encoder_decoder, t5

X = jnp.arange(1.0, 5.0)


def test_all_finite():
    assert nonfinite.find(lambda x: {"y": jnp.log(x)}, X) == nonfinite.Findings(None, ())


def test_the_operation_that_made_it_of_finite_values_is_named():
    def function(x):
        with jax.named_scope("lower"):
            y = jnp.log(x - 1)  # log(0) is -inf
        with jax.named_scope("upper"):
            return {"same": x * 2, "sum": jnp.sum(y), "nan": y - y}

    found = nonfinite.find(function, X)
    assert found.results == ("nan", "sum")
    assert (found.first.value, found.first.operation) == ("inf", "log")
    assert found.first.where == "lower" and not found.first.backward
    assert "tests/faults/test_nonfinite.py:" in found.first.source
    assert "inf from 'log' in lower (forward pass or update; " in str(found.first)


def test_masks_are_meant():
    def masked(x):
        return {"weights": jax.nn.softmax(jnp.where(x > 2, x, -jnp.inf))}

    assert nonfinite.find(masked, X).first is None
    # A row without any position left is a mistake: the nan comes from the softmax.
    found = nonfinite.find(masked, X - 4)
    assert found.first.value == "nan" and found.first.operation == "sub"


def test_an_argument_that_is_not_finite_is_named():
    params = {"layer": {"kernel": X.at[1].set(jnp.nan)}, "bias": X}
    found = nonfinite.find(
        lambda p, x: {"y": p["layer"]["kernel"] * x}, params, X, names=("params",)
    )
    assert str(found.first) == "nan in params/layer/kernel, before the step"


def test_the_gradient_alone():
    def loss(x):
        with jax.named_scope("root"):
            return jnp.sum(jnp.sqrt(x - 1))  # The derivative at 0 is inf.

    found = nonfinite.find(lambda x: {"grad": jax.grad(loss)(x)}, X)
    assert found.results == ("grad",)
    assert found.first.where == "root" and found.first.value == "inf"


@pytest.mark.parametrize("reverse", [False, True])
def test_the_turn_of_a_loop_is_named(reverse):
    def body(carry, x):
        with jax.named_scope("block"):
            return carry + 1 / x, carry

    def function(xs):
        return {"last": jax.lax.scan(body, jnp.float32(0), xs, reverse=reverse)[0]}

    found = nonfinite.find(function, X.at[2].set(0.0))
    assert found.first.where == "[2]/block"
    assert found.first.operation == "div"


def test_calls_branches_and_checkpoints_are_gone_into():
    @jax.checkpoint
    def inner(x):
        return jnp.exp(x * 1000)

    def function(x):
        y = jax.lax.cond(x[0] > 0, lambda v: v, lambda v: v / 0, x)
        return {"y": jax.jit(inner)(y), "grad": jax.grad(lambda v: jnp.sum(inner(v)))(y)}

    found = nonfinite.find(function, X)
    assert (found.first.value, found.first.operation) == ("inf", "exp")


class Layer(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.Dense(4)(x), None


class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        scan = nn.scan(Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        return scan(name="stack")(x, None)[0]


def test_the_layer_of_a_scanned_stack_is_named():
    network = Network()
    params = network.init(jax.random.key(0), X)
    kernel = params["params"]["stack"]["Dense_0"]["kernel"]
    params["params"]["stack"]["Dense_0"]["kernel"] = kernel.at[1:].multiply(1e25)

    def loss(params):
        return jnp.sum(network.apply(params, X))

    # Layer 1 grows to 1e25, layer 2 to 1e50, which float32 does not hold.
    found = nonfinite.find(lambda p: jax.value_and_grad(loss)(p)[0], params)
    assert "[2]/stack/Dense_0" in found.first.where, found.first
    assert found.first.operation == "dot_general" and not found.first.backward


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_training_step_of_t5():
    config = t5.T5Config(
        vocab_size=16,
        emb_dim=8,
        num_heads=1,
        num_encoder_layers=1,
        num_decoder_layers=2,
        head_dim=8,
        mlp_dim=8,
        mlp_activations=("relu",),
        dropout_rate=0.1,
        dtype="float32",
    )
    model = encoder_decoder.EncoderDecoderModel(
        t5.Transformer(config), optimizer_def=adafactor.Adafactor()
    )
    tx = model.optimizer_def.make(lambda step: 0.01, model.logical_axes())
    before = state.init_state(model, tx, 0)
    names = "encoder_input_tokens decoder_target_tokens decoder_input_tokens".split()
    batch = {name: jnp.ones((2, 4), jnp.int32) for name in [*names, "decoder_loss_weights"]}
    batch["decoder_task_ids"] = jnp.zeros((2, 4), jnp.int32)
    train_step = step.make_train_step(model, tx, 1, 1, 0)

    def enlarge(path, leaf):
        return leaf * 1e38 if "decoder" in str(path) and "'wo'" in str(path) else leaf

    params = jax.tree_util.tree_map_with_path(enlarge, before.params)
    found = nonfinite.find(
        lambda state, batch: train_step(state, batch),
        before.replace(params=params),
        batch,
        names=("state", "batch"),
    )
    # Its output still holds in float32; squared in the next norm it does not.
    where = found.first.where
    assert "decoder" in where and ("mlp" in where or "layer_norm" in where), found.first
    assert any("loss" in name for name in found.results)
