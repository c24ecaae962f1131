"""Decoder-only sizes: counts against published ones and against the parameters that are made."""

import math

import jax
import pytest

from flan_jax import flops
from flan_jax.errors import NotFoundError
from flan_jax.models.decoder import DecoderOnlyTransformer
from flan_jax.models.decoder_only import DecoderOnlyModel
from flan_jax.models.decoder_sizes import DECODER_SIZES, decoder_config
from flan_jax.models.sizes import count_params

PALM = {"8b": 8_631_877_632, "62b": 62_495_129_600, "540b": 540_354_281_472}


@pytest.mark.parametrize("size", PALM)
def test_palm_has_the_papers_count_and_its_norms(size):
    """The paper's table counts no norms: one a layer, and the last one."""
    config = decoder_config(f"palm_{size}")
    d, joined = config.emb_dim, config.num_heads * 256
    formula = config.num_layers * (2 * d * joined + 2 * d * 256 + 12 * d * d) + 256_000 * d
    assert formula == PALM[size]
    assert count_params(config) == PALM[size] + d * (config.num_layers + 1)


def test_lamda_has_137b_without_its_embedding():
    config = decoder_config("lamda_pt_137b")
    embedding, norms = 32_000 * 8192, 8192 * (2 * 64 + 1)
    bias = 128 * 32
    assert count_params(config) - embedding - norms - bias == 137_438_953_472


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # Parameters of the released weights.
        ("gpt2_small", 124_439_808),
        ("gpt2_medium", 354_823_168),
        ("gpt2_large", 774_030_080),
        ("gpt2_xl", 1_557_611_200),
        ("llama_2_7b", 6_738_415_616),
        ("llama_2_13b", 13_015_864_320),
        ("llama_2_70b", 68_976_648_192),
        ("llama_3_8b", 8_030_261_248),
        ("llama_3_1_70b", 70_553_706_496),
        ("llama_3_2_1b", 1_235_814_400),
        ("llama_3_2_3b", 3_212_749_824),
    ],
)
def test_released_models_have_their_count_exactly(name, published):
    assert count_params(decoder_config(name)) == published


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("gpt3_125m", 125e6),
        ("gpt3_350m", 350e6),
        ("gpt3_760m", 760e6),
        ("gpt3_1_3b", 1.3e9),
        ("gpt3_2_7b", 2.7e9),
        ("gpt3_6_7b", 6.7e9),
        ("gpt3_13b", 13.0e9),
        ("gpt3_175b", 175.0e9),
        # Millions that the dimensions give, tied, with one table of relative positions.
        ("t5x_decoder_base", 109.63e6),
        ("t5x_decoder_xxl", 4762.31e6),
    ],
)
def test_other_models_have_the_count_of_their_name(name, published):
    assert count_params(decoder_config(name)) == pytest.approx(published, rel=0.02)


def counted(config):
    model = DecoderOnlyModel(DecoderOnlyTransformer(config))
    return sum(math.prod(x.shape) for x in jax.tree.leaves(model.abstract_params()))


@pytest.mark.parametrize("name", DECODER_SIZES)
def test_the_formula_counts_what_the_scanned_model_makes(name):
    config = decoder_config(name)
    assert counted(config) == count_params(config)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("palm_tiny", {"logits_via_embedding": False, "use_bias": True, "norm_bias": True}),
        ("gpt2_tiny", {"parallel_block": True, "mlp_activations": ("silu", "linear")}),
        ("llama_3_2_tiny", {"qkv_bias": True, "positions": "none"}),
        ("t5x_decoder_tiny", {"num_kv_heads": 2, "norm": "layer"}),
    ],
)
def test_the_formula_follows_every_switch(name, changes):
    config = decoder_config(name, scan_layers=False, **changes)
    assert counted(config) == count_params(config)


@pytest.mark.parametrize(("size", "per_token"), [("8b", 5.50e10), ("62b", 3.88e11)])
def test_training_flops_are_the_papers_per_token(size, per_token):
    """6 N + 12 L H Q T at T = 2,048, N without norms; 3.278e12 for 540B below."""
    config = decoder_config(f"palm_{size}")
    attention = 12 * config.num_layers * config.num_heads * 256 * 2048
    found = flops.train_flops(config, 4, 1024, 1024) / (4 * 2048)
    assert found == 6 * PALM[size] + attention
    assert found == pytest.approx(per_token, rel=2e-3)


def test_training_flops_of_540b_and_attentions_part():
    config = decoder_config("palm_540b")
    found = flops.train_flops(config, 1, 0, 2048) / 2048
    assert found == pytest.approx(3.278e12, rel=2e-4)
    assert 1 - 6 * PALM["540b"] / found == pytest.approx(0.011, abs=5e-4)
    # The paper's utilisation: 238.3k tokens/s on 6,144 TPU v4.
    assert 238.3e3 * found / (6144 * 275e12) == pytest.approx(0.462, abs=5e-4)
    # A frozen model's weights get no gradient: half of the backward pass is left out.
    assert flops.train_flops(config, 1, 0, 2048, 1e-9) / 2048 == pytest.approx(found * 2 / 3)


def test_unknown_names_and_overrides():
    with pytest.raises(NotFoundError, match="'palm_8'.*Did you mean 'palm_8b'"):
        decoder_config("palm_8")
    assert decoder_config("palm_8b", vocab_size=100).vocab_size == 100
