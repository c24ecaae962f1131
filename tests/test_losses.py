import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flan_jax import losses
from flan_jax.errors import ConfigError

B, T, D, V = 3, 7, 5, 11


@pytest.fixture
def logits_BxTxV(key):
    return 3.0 * jax.random.normal(key, (B, T, V))


@pytest.fixture
def targets_BxT(key):
    return jax.random.randint(jax.random.fold_in(key, 1), (B, T), 0, V)


def plain_losses(logits_BxTxV, targets_BxT, z_loss, label_smoothing):
    """The textbook form with one-hot targets, for automatic differentiation."""
    on, off = 1.0 - label_smoothing, label_smoothing / (V - 1)
    q_BxTxV = jnp.where(jax.nn.one_hot(targets_BxT, V) > 0, on, off)
    log_p_BxTxV = jax.nn.log_softmax(logits_BxTxV)
    entropy = -sum(n * p * np.log(p) for n, p in ((1, on), (V - 1, off)) if p)
    cross_entropy_BxT = -jnp.sum(q_BxTxV * log_p_BxTxV, -1) - entropy
    return cross_entropy_BxT, z_loss * jax.nn.logsumexp(logits_BxTxV, -1) ** 2


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("z_loss", [0.0, 0.3])
def test_values_and_gradients_equal_the_plain_form(
    logits_BxTxV, targets_BxT, z_loss, label_smoothing
):
    def ours(logits):
        found = losses.token_losses(
            logits, targets_BxT, z_loss=z_loss, label_smoothing=label_smoothing
        )
        return found.cross_entropy, found.z_loss

    def plain(logits):
        return plain_losses(logits, targets_BxT, z_loss, label_smoothing)

    # Different cotangents for the two outputs: each must have its own gradient.
    cotangents = (jnp.arange(B * T, dtype=jnp.float32).reshape(B, T), jnp.full((B, T), 2.0))

    def value_and_gradient(function):
        values, vjp = jax.vjp(function, logits_BxTxV)
        return values, vjp(cotangents)[0]

    found, found_bar = jax.jit(lambda: value_and_gradient(ours))()
    expected, expected_bar = jax.jit(lambda: value_and_gradient(plain))()
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, atol=2e-6, rtol=1e-6)
    np.testing.assert_allclose(found_bar, expected_bar, atol=2e-5, rtol=1e-5)


def test_cross_entropy_equals_optax(logits_BxTxV, targets_BxT):
    found = losses.token_losses(logits_BxTxV, targets_BxT)
    expected = optax.softmax_cross_entropy_with_integer_labels(logits_BxTxV, targets_BxT)
    np.testing.assert_allclose(found.cross_entropy, expected, atol=2e-6)
    assert not found.z_loss.any()


def test_large_logits_stay_finite():
    logits_1x1xV = jnp.array([[[1e4, -1e4, 0.0]]])
    found = losses.token_losses(logits_1x1xV, jnp.array([[1]]), z_loss=1e-4)
    assert found.cross_entropy[0, 0] == 2e4
    assert found.z_loss[0, 0] == pytest.approx(1e4)


def test_bfloat16_logits_are_computed_in_float32(logits_BxTxV, targets_BxT):
    low = logits_BxTxV.astype(jnp.bfloat16)
    found, vjp = jax.vjp(lambda x: losses.token_losses(x, targets_BxT).cross_entropy, low)
    expected = losses.token_losses(low.astype(jnp.float32), targets_BxT).cross_entropy
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, expected)
    assert vjp(jnp.ones((B, T)))[0].dtype == jnp.bfloat16


def test_correct_is_the_first_arg_max():
    # Rows: clear win, clear loss, tie won by the lower index, tie lost to the lower index.
    logits = jnp.array([[[0.0, 2.0, 1.0], [0.0, 2.0, 1.0], [2.0, 2.0, 1.0], [2.0, 2.0, 1.0]]])
    targets = jnp.array([[1, 2, 0, 1]])
    found = losses.token_losses(logits, targets).correct
    np.testing.assert_array_equal(found, [[1, 0, 1, 0]])
    np.testing.assert_array_equal(found, jnp.argmax(logits, -1) == targets)


@pytest.mark.parametrize("chunk_size", [1, 3, 4, T, T + 5])
def test_chunks_equal_the_whole(key, targets_BxT, chunk_size):
    hidden_BxTxD = jax.random.normal(key, (B, T, D))
    kernel_DxV = jax.random.normal(jax.random.fold_in(key, 2), (D, V))
    weights_BxT = (jnp.arange(B * T) % 4).astype(jnp.float32).reshape(B, T)
    options = {"z_loss": 1e-2, "label_smoothing": 0.1}

    def chunked(hidden_BxTxD, kernel_DxV):
        token = losses.chunked_token_losses(
            hidden_BxTxD, targets_BxT, lambda h: h @ kernel_DxV, chunk_size=chunk_size, **options
        )
        sums = losses.sum_losses(token, weights_BxT)
        return sums.loss, sums

    def whole(hidden_BxTxD, kernel_DxV):
        token = losses.token_losses(hidden_BxTxD @ kernel_DxV, targets_BxT, **options)
        sums = losses.sum_losses(token, weights_BxT)
        return sums.loss, sums

    found = jax.jit(jax.value_and_grad(chunked, (0, 1), has_aux=True))(hidden_BxTxD, kernel_DxV)
    expected = jax.jit(jax.value_and_grad(whole, (0, 1), has_aux=True))(hidden_BxTxD, kernel_DxV)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5, rtol=1e-5), found, expected
    )


def test_chunks_never_hold_all_logits(targets_BxT):
    def loss(hidden_BxTxD, kernel_DxV, chunk_size):
        token = losses.chunked_token_losses(
            hidden_BxTxD, targets_BxT, lambda h: h @ kernel_DxV, chunk_size=chunk_size
        )
        return jnp.sum(token.cross_entropy)

    def program(chunk_size):
        arguments = jnp.zeros((B, T, D)), jnp.zeros((D, V))
        return jax.jit(jax.grad(loss, (0, 1)), static_argnums=2).lower(*arguments, chunk_size)

    # Two positions a chunk: the program may stack chunks of hidden states, not of logits.
    text = program(2).as_text()
    assert f"tensor<{B}x2x{V}xf32>" in text
    for length in (T, T + 1):
        assert f"tensor<{B}x{length}x{V}xf32>" not in text
    assert f"tensor<4x{B}x2x{V}xf32>" not in text
    assert f"tensor<{B}x{T}x{V}xf32>" in program(T).as_text()


def test_sums_by_task_and_weight():
    token = losses.TokenLosses(
        cross_entropy=jnp.array([[1.0, 2.0, 4.0], [8.0, jnp.inf, jnp.nan]]),
        z_loss=jnp.full((2, 3), 0.5),
        correct=jnp.array([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]]),
    )
    weights = jnp.array([[1.0, 1.0, 0.5], [2.0, 0.0, 0.0]])
    tasks = jnp.array([[0, 2, 2], [0, 0, 0]])
    sums = losses.sum_losses(token, weights, tasks, 4)
    # The infinite and the undefined loss sit on positions without weight and do not count.
    assert (sums.cross_entropy, sums.z_loss, sums.loss) == (21.0, 2.25, 23.25)
    assert (sums.correct, sums.weight) == (3.5, 4.5)
    np.testing.assert_array_equal(sums.task_loss_K, [17, 0, 4, 0])
    np.testing.assert_array_equal(sums.task_weight_K, [3, 0, 1.5, 0])


def test_sums_add_up_over_parts(logits_BxTxV, targets_BxT):
    weights = jnp.ones((B, T))
    tasks = jnp.arange(B * T).reshape(B, T) % 3

    def part(rows):
        token = losses.token_losses(logits_BxTxV[rows], targets_BxT[rows], z_loss=0.1)
        return losses.sum_losses(token, weights[rows], tasks[rows], 3)

    total = losses.LossSums.zeros(3) + part(slice(0, 1)) + part(slice(1, B))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), total, part(slice(0, B)))


def test_weights_default_to_real_targets():
    targets = jnp.array([[5, 0, 3]])
    np.testing.assert_array_equal(
        losses.target_weights({"decoder_target_tokens": targets}), [[1, 0, 1]]
    )
    given = {"decoder_target_tokens": targets, "decoder_loss_weights": jnp.array([[0, 1, 1]])}
    assert losses.target_weights(given).dtype == jnp.float32
    np.testing.assert_array_equal(losses.target_weights(given), [[0, 1, 1]])


def test_average_per_sequence_gives_each_sequence_weight_one():
    batch = {
        "decoder_target_tokens": jnp.ones((2, 6), jnp.int32),
        "decoder_loss_weights": jnp.array([[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0]]),
    }
    weights = losses.loss_weights(batch, losses.AVERAGE_PER_SEQUENCE)
    np.testing.assert_allclose(weights, [[0.25] * 4 + [0, 0], [1] + [0] * 5])

    packed = {
        "decoder_target_tokens": jnp.ones((2, 6), jnp.int32),
        # Segment 2 of row 0 holds no counted token; row 1 is one segment and padding.
        "decoder_segment_ids": jnp.array([[1, 1, 2, 3, 3, 3], [1, 1, 1, 1, 0, 0]]),
        "decoder_loss_weights": jnp.array([[1, 1, 0, 0, 1, 1], [1, 1, 1, 1, 0, 0]]),
    }
    weights = losses.loss_weights(packed, losses.AVERAGE_PER_SEQUENCE)
    np.testing.assert_allclose(weights, [[0.5, 0.5, 0, 0, 0.5, 0.5], [0.25] * 4 + [0, 0]])
    # Other factors leave the weights alone.
    np.testing.assert_array_equal(
        losses.loss_weights(packed, losses.NUM_REAL_TARGET_TOKENS), packed["decoder_loss_weights"]
    )


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (None, 1),
        (233472, 233472),
        (0.5, 0.5),
        ("NUM_REAL_TARGET_TOKENS", 5),
        ("NUM_TOTAL_TARGET_TOKENS", 12),
        ("AVERAGE_PER_SEQUENCE", 3),
    ],
)
def test_normalizer(factor, expected):
    batch = {
        "decoder_target_tokens": jnp.ones((2, 6), jnp.int32),
        "decoder_segment_ids": jnp.array([[1, 1, 2, 2, 2, 2], [1, 1, 1, 1, 0, 0]]),
        "decoder_loss_weights": jnp.array([[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]]),
    }
    zeros = jnp.zeros((2, 6))
    sums = losses.sum_losses(
        losses.TokenLosses(zeros, zeros, zeros), losses.loss_weights(batch, factor)
    )
    assert losses.loss_normalizer(sums, batch, factor) == expected


def test_normalizer_of_padding_is_one():
    batch = {"decoder_target_tokens": jnp.zeros((2, 3), jnp.int32)}
    sums = losses.LossSums.zeros(1)
    assert losses.loss_normalizer(sums, batch, "NUM_REAL_TARGET_TOKENS") == 1


@pytest.mark.parametrize("factor", ["NUM_REAL_TOKENS", 0, -1.0])
def test_unknown_factor_is_refused(factor):
    with pytest.raises(ConfigError, match="LOSS_NORMALIZING_FACTOR") as caught:
        losses.check_factor(factor)
    if isinstance(factor, str):
        assert "'NUM_REAL_TARGET_TOKENS'" in str(caught.value)
