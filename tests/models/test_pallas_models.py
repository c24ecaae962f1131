"""Whole networks compute the same with the attention kernels, interpreted, as with XLA."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax.errors import ConfigError, NotFoundError
from flan_jax.mesh import PjitPartitioner
from flan_jax.models import attention, masks
from flan_jax.models.t5 import T5Config, Transformer
from tests.models.conftest import TINY, _draw

_QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def t5_batch(rows):
    """Packed rows: two segments of inputs and targets, and padding."""
    rng = np.random.default_rng(0)
    inputs, targets = (rng.integers(2, 48, (rows, n)).astype(np.int32) for n in (9, 6))
    input_segments = np.repeat([[1, 1, 1, 1, 2, 2, 2, 0, 0]], rows, axis=0)
    target_segments = np.repeat([[1, 1, 2, 2, 2, 0]], rows, axis=0)
    inputs, targets = inputs * (input_segments > 0), targets * (target_segments > 0)
    return inputs, targets, targets, input_segments, target_segments


def t5_gradients(config, params, batch, deterministic=True):
    """Loss and gradients of a packed batch, ready for `jax.jit`."""
    module = Transformer(config)

    def loss(params):
        rngs = {} if deterministic else {"dropout": jax.random.key(1)}
        logits: Any = module.apply(
            {"params": params}, *batch, enable_dropout=not deterministic, rngs=rngs
        )
        nats = -jnp.take_along_axis(jax.nn.log_softmax(logits), batch[2][..., None], axis=-1)
        return jnp.sum(nats[..., 0] * (batch[2] > 0))

    return jax.value_and_grad(loss)(params)


def assert_same(found, expected):
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=2e-5), found, expected
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("scan", [False, True])
def test_t5_with_dropout(scan):
    config = dataclasses.replace(TINY, scan_layers=scan, dropout_rate=0.2, remat_policy="minimal")
    params, batch = _draw(dataclasses.replace(config, dropout_rate=0.0)), t5_batch(2)
    results = []
    for kernel in ("xla", "pallas_interpret"):
        kernel_config = dataclasses.replace(config, attention_kernel=kernel)

        def run(params, config=kernel_config):
            return t5_gradients(config, params, batch, deterministic=False)

        results.append(jax.jit(run, compiler_options=_QUICK)(params))
    assert_same(*results)


@pytest.mark.exhaustive
def test_t5_on_a_mesh():
    config = dataclasses.replace(TINY, num_heads=4, scan_layers=True)
    params, batch = _draw(config), t5_batch(4)
    expected = jax.jit(lambda p: t5_gradients(config, p, batch))(params)
    config = dataclasses.replace(config, attention_kernel="pallas_interpret")
    with PjitPartitioner(data=2, fsdp=2, num_partitions=2).activate():
        found = jax.jit(lambda p: t5_gradients(config, p, batch), compiler_options=_QUICK)(params)
    assert_same(found, expected)


@pytest.mark.exhaustive
@pytest.mark.parametrize("mesh", [None, {"data": 2, "fsdp": 2, "num_partitions": 2}])
@pytest.mark.parametrize("family", ["palm", "llama_3_2", "t5x_decoder"])
def test_decoder_with_prefixes(decoder, family, mesh):
    rng = np.random.default_rng(0)
    segments = np.repeat([[1] * 5 + [2] * 4 + [0]], 4, axis=0).astype(np.int32)
    tokens = rng.integers(0, 48, segments.shape).astype(np.int32)
    positions = np.repeat([[0, 1, 2, 3, 4, 0, 1, 2, 3, 0]], 4, axis=0)
    seen = np.repeat([[1, 1, 1, 0, 0, 1, 1, 0, 0, 0]], 4, axis=0)
    model, params = decoder(family, emb_dim=16)
    results = []
    for kernel in ("xla", "pallas_interpret"):
        config = dataclasses.replace(model.config, attention_kernel=kernel)
        module = type(model.module)(config)

        def run(params, module=module):
            def loss(params):
                logits: Any = module.apply(
                    {"params": params},
                    tokens,
                    tokens,
                    segments,
                    positions,
                    seen,
                    enable_dropout=False,
                )
                return jnp.sum(jax.nn.log_softmax(logits)[..., 0] * (segments > 0))

            return jax.value_and_grad(loss)(params)

        if mesh is None or kernel == "xla":
            results.append(jax.jit(run, compiler_options=_QUICK)(params))
        else:
            with PjitPartitioner(**mesh).activate():
                results.append(jax.jit(run, compiler_options=_QUICK)(params))
    assert_same(*results[::-1])


def test_automatic_choice_is_xla_without_a_tpu():
    visible = masks.of_row(256)
    mask, bias = attention.lay_out("auto", visible, TINY, 1, None)
    np.testing.assert_array_equal(mask, masks.causal_mask(256))
    assert bias is None
    mask, _ = attention.lay_out("pallas_interpret", visible, TINY, 1, None)
    assert isinstance(mask, attention.KernelMask) and mask.interpreted


def test_unknown_kernel_and_too_long_rows_are_refused():
    with pytest.raises(NotFoundError, match="attention_kernel is 'palas'.*pallas"):
        dataclasses.replace(TINY, attention_kernel="palas")
    config = T5Config(vocab_size=48, attention_kernel="pallas")
    with pytest.raises(ConfigError, match="65536 queries.*too long.*attention_kernel = 'auto'"):
        attention.lay_out("pallas", masks.of_row(65536), config, 1, None)
