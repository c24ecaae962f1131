"""Greedy, sampled and beam decoding, and scoring of given options."""

from flan_jax.decode.api import (
    DecodeConfig,
    DecodeOutput,
    OptionScores,
    decode_batch,
    score_options,
)

__all__ = ["DecodeConfig", "DecodeOutput", "OptionScores", "decode_batch", "score_options"]
