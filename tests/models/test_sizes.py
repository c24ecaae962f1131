"""The size table against published counts and against the parameters a model really makes."""

import functools
import math

import jax
import jax.numpy as jnp
import pytest

from flan_jax.errors import NotFoundError
from flan_jax.models.sizes import SIZES, count_params, t5_config
from flan_jax.models.t5 import T5Config, Transformer

# T5 1.1: millions of parameters, all and without embeddings (Raffel et al.'s 1.1 release notes).
T5_1_1_MILLIONS = {
    "small": (76.96, 44.06),
    "base": (247.58, 198.23),
    "large": (783.15, 717.35),
    "xl": (2849.76, 2718.16),
    "xxl": (11135.33, 10872.14),
}


@pytest.mark.parametrize("size", T5_1_1_MILLIONS)
def test_counts_of_t5_1_1_equal_the_published_ones(size):
    config = t5_config(f"t5_1_1_{size}")
    total = count_params(config)
    assert (
        round(total / 1e6, 2),
        round((total - 2 * config.vocab_size * config.emb_dim) / 1e6, 2),
    ) == T5_1_1_MILLIONS[size]


@pytest.mark.parametrize(
    ("name", "published"),
    # Rounded in the papers: T5 section 3.7, mT5 section 3.2, ByT5 table 1.
    [
        ("t5_1_0_small", "60e6"),
        ("t5_1_0_base", "220e6"),
        ("t5_1_0_large", "770e6"),
        ("t5_1_0_3b", "2.8e9"),
        ("t5_1_0_11b", "11e9"),
        ("mt5_small", "300e6"),
        ("mt5_base", "580e6"),
        ("mt5_large", "1.2e9"),
        ("mt5_xl", "3.7e9"),
        ("mt5_xxl", "13e9"),
        ("byt5_small", "300e6"),
        ("byt5_base", "582e6"),
        ("byt5_large", "1.23e9"),
        ("byt5_xl", "3.74e9"),
        ("byt5_xxl", "12.9e9"),
    ],
)
def test_counts_of_other_families_are_near_the_published_ones(name, published):
    assert count_params(t5_config(name)) == pytest.approx(float(published), rel=0.045)


def counted(config: T5Config) -> int:
    tokens = jax.ShapeDtypeStruct((1, 2), jnp.int32)
    init = functools.partial(Transformer(config).init, enable_dropout=False)
    shapes = jax.eval_shape(init, jax.random.key(0), tokens, tokens, tokens)
    return sum(math.prod(x.shape) for x in jax.tree.leaves(shapes))


# mT5 and Flan differ from T5 1.1 by the vocabulary at most.
@pytest.mark.parametrize("name", [n for n in SIZES if n.startswith(("t5_", "byt5_", "mt5_small"))])
def test_the_formula_counts_what_the_scanned_model_makes(name):
    config = t5_config(name)
    assert counted(config) == count_params(config)


@pytest.mark.parametrize("name", ["t5_1_0_small", "t5_1_1_small", "byt5_small", "t5_1_1_tiny"])
def test_the_formula_counts_what_the_unscanned_model_makes(name):
    config = t5_config(name, scan_layers=False)
    assert counted(config) == count_params(config)


def test_flan_sizes_are_those_of_t5_1_1():
    for size in T5_1_1_MILLIONS:
        assert SIZES[f"flan_t5_{size}"] == SIZES[f"t5_1_1_{size}"]


def test_overrides_and_unknown_names():
    config = t5_config("mt5_small", dtype="bfloat16", vocab_size=100)
    assert (config.dtype, config.vocab_size, config.emb_dim) == ("bfloat16", 100, 512)
    with pytest.raises(NotFoundError, match="'t5_1_1_smal'. Did you mean 't5_1_1_small'"):
        t5_config("t5_1_1_smal")
