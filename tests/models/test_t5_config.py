"""Checks of T5Config and its use from gin."""

import gin
import pytest

from flan_jax.errors import ConfigError, NotFoundError
from flan_jax.models.t5 import T5Config, Transformer


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "bfloat"}, "dtype is 'bfloat'.*float32, bfloat16.*Did you mean 'bfloat16'"),
        ({"remat_policy": "minimum"}, "remat_policy.*none, minimal, .*, full.*mean 'minimal'"),
        ({"mlp_activations": ("gellu", "linear")}, "mlp_activations is 'gellu'.*mean 'gelu'"),
        ({"mlp_activations": ()}, "0 entries"),
        ({"mlp_activations": "relu"}, r"mlp_activations is 'relu'.*\('relu',\)"),
        ({"num_heads": 0}, "num_heads is 0"),
        ({"emb_dim": 64.0}, "emb_dim is 64.0"),
        ({"dropout_rate": 1.0}, "dropout_rate is 1.0"),
        ({"param_scan_axis": 2}, "param_scan_axis is 2"),
        ({"relpos_num_buckets": 30}, "relpos_num_buckets is 30"),
        ({"relpos_max_distance": 16}, "relpos_max_distance is 16"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        T5Config(**{"vocab_size": 32, **changes})


def test_unknown_names_are_not_found_errors():
    with pytest.raises(NotFoundError):
        T5Config(vocab_size=32, dtype="float16")


def test_gin_builds_the_network_under_t5xs_names():
    gin.clear_config()
    try:
        gin.parse_config(
            """
            network.Transformer.config = @network.T5Config()
            network.T5Config.vocab_size = 32
            network.T5Config.mlp_activations = ['gelu', 'linear']
            network.T5Config.dropout_rate = 0.05
            """
        )
        config = Transformer().config
    finally:
        gin.clear_config()
    expected = T5Config(vocab_size=32, mlp_activations=("gelu", "linear"), dropout_rate=0.05)
    assert config == expected and hash(config) == hash(expected)
