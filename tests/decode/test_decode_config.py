"""DecodeConfig refuses what it cannot do, naming field, value and what is allowed."""

import gin
import pytest

from flan_jax import errors
from flan_jax.decode.config import DecodeConfig


@pytest.mark.parametrize(
    ("values", "field", "allowed"),
    [
        ({"method": "beem"}, "method is 'beem'", "Did you mean 'beam'"),
        ({"max_decode_length": 0}, "max_decode_length is 0", "at least 1"),
        ({"max_decode_length": 3.0}, "max_decode_length is 3.0", "whole number"),
        ({"num_samples": 0, "method": "sample"}, "num_samples is 0", "at least 1"),
        ({"num_samples": 3}, "num_samples is 3 with method='greedy'", "method='sample'"),
        ({"temperature": 0.0, "method": "sample"}, "temperature is 0.0", "method='greedy'"),
        ({"temperature": float("nan")}, "temperature is nan", "finite"),
        ({"top_k": -1}, "top_k is -1", "0 turns it off"),
        ({"top_p": 1.5}, "top_p is 1.5", "at most 1.0"),
        ({"top_p": "0.9"}, "top_p is '0.9'", "number"),
        ({"beam_size": True}, "beam_size is True", "whole number"),
        ({"length_penalty_type": "t5x"}, "length_penalty_type is 't5x'", "'google', 'hf'"),
        ({"early_stopping": 1}, "early_stopping is 1", "False, True, 'never'"),
        ({"prepare_weights": "cpu"}, "prepare_weights is 'cpu'", "None, False, True"),
        ({"eos_id": -1}, "eos_id is -1", "at least 0"),
        ({"method": "beam", "beam_size": 2, "num_return": 3}, "num_return is 3", "1 to 2"),
    ],
)
def test_wrong_value_is_refused_by_name(values, field, allowed):
    with pytest.raises(errors.ConfigError) as caught:
        DecodeConfig(**values)
    assert field in str(caught.value)
    assert allowed in str(caught.value)


def test_number_of_outputs_follows_the_method():
    assert DecodeConfig().num_outputs == 1
    assert DecodeConfig(method="sample", num_samples=5).num_outputs == 5
    assert DecodeConfig(method="beam", beam_size=4).num_outputs == 4
    assert DecodeConfig(method="beam", beam_size=4, num_return=2).num_outputs == 2


def test_equal_configs_share_one_compilation_key():
    assert hash(DecodeConfig(top_k=3)) == hash(DecodeConfig(top_k=3))
    assert DecodeConfig(top_k=3) == DecodeConfig(top_k=3)


def test_gin_name():
    with gin.unlock_config():
        gin.parse_config("decoding.DecodeConfig.method = 'beam'")
    try:
        assert DecodeConfig().method == "beam"
    finally:
        gin.clear_config()
