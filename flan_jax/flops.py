"""Model FLOPs of training, and the rate they are compared with.

Model FLOPs count every matrix product of the forward pass once and the backward pass as twice the
forward pass; recomputation under remat is not counted (PaLM paper, arXiv 2204.02311, appendix B).
In an encoder-decoder, encoder parameters see input tokens, decoder parameters see target tokens,
and the keys and values of cross-attention see input tokens: charging all parameters for all tokens
counts up to twice as much. In a decoder-only model every parameter sees every token, and training
takes the paper's 6 N + 12 (layers) H K T FLOPs per token.
"""

from typing import Any

from flan_jax.chips import CHIPS
from flan_jax.models.decoder_config import DecoderConfig


def peak_flop_per_s(device_kind: str) -> float | None:
    """Peak bfloat16 FLOP/s of one device, or None for a chip that the table does not know.

    An unknown chip has no MFU: none is printed rather than a guess.
    """
    chip = CHIPS.get(device_kind)
    return chip.peak_bf16_flop_per_s if chip else None


def forward_flops(config: Any, batch: int, input_length: int, target_length: int) -> float:
    """FLOPs of one forward pass over `batch` rows, padding included.

    Args:
      config: a `T5Config` or a `DecoderConfig`.
      batch: rows B.
      input_length: most tokens of inputs: the encoder length L, or what stands before the targets
        in a decoder-only row.
      target_length: most tokens of targets. Decoder-only rows have both lengths together.

    Returns:
      Multiply-adds counted as two FLOPs. Attention scores are counted over the full L x L and T x T
      squares, since the causal half is computed all the same.
    """
    if isinstance(config, DecoderConfig):
        return batch * _decoder_only_row_flops(config, input_length + target_length)
    joined = config.num_heads * config.head_dim
    projection = 2 * config.emb_dim * joined  # one of query, key, value, out, per token
    mlp = 2 * config.emb_dim * config.mlp_dim * (len(config.mlp_activations) + 1)
    length, target = config.prompt_length + input_length, target_length
    encoder_layer = length * (4 * projection + mlp) + 4 * length * length * joined
    decoder_layer = (
        target * (4 * projection + mlp)
        + 4 * target * target * joined
        + target * 2 * projection  # cross-attention query and out
        + length * 2 * projection  # cross-attention key and value
        + 4 * target * length * joined
    )
    head = target * 2 * config.emb_dim * config.vocab_size
    return float(
        batch
        * (
            config.num_encoder_layers * encoder_layer
            + config.num_decoder_layers * decoder_layer
            + head
        )
    )


def _decoder_only_row_flops(config: DecoderConfig, length: int) -> float:
    positions = config.prompt_length + length
    joined = config.num_heads * config.head_dim
    kernels = 2 * config.emb_dim * (joined + config.kv_heads * config.head_dim)
    kernels += config.emb_dim * config.mlp_dim * (len(config.mlp_activations) + 1)
    attention = 4 * positions * joined  # scores and weighted values, per position
    head = 2 * config.emb_dim * config.vocab_size
    return float(positions * config.num_layers * (2 * kernels + attention) + length * head)


def train_flops(
    config: Any, batch: int, input_length: int, target_length: int, trained_share: float = 1.0
) -> float:
    """Model FLOPs of one training step: the forward pass and twice that for the backward pass.

    Half of the backward pass is the gradient of the weights, which frozen ones do not have.

    Args:
      config: see `forward_flops`.
      batch: rows B.
      input_length: see `forward_flops`; without a soft prompt.
      target_length: see `forward_flops`.
      trained_share: trained parameters as a share of all, in (0, 1].
    """
    return (2.0 + trained_share) * forward_flops(config, batch, input_length, target_length)
