"""Configuration of the T5 family, checked when it is made."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import gin
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from flan_jax.errors import ConfigError, NotFoundError, suggest
from flan_jax.models import flash
from flan_jax.models.layers import ACTIVATIONS, OUT_PROJECTION, PROJECTION, SOURCE_PROJECTION
from flan_jax.models.lora import LoraConfig, check_field

DTYPES: dict[str, Any] = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}

_READS = (PROJECTION, flash.ATTENTION, flash.ATTENTION_SUMS)
_PRODUCTS = (*_READS, SOURCE_PROJECTION, OUT_PROJECTION)

# What the backward pass may keep of a layer; everything else is computed again. 'none' and 'full'
# need no policy: the one runs without remat, the other keeps nothing.
REMAT_POLICIES: dict[str, Any] = {
    "none": None,
    "minimal": jax.checkpoint_policies.save_only_these_names(*_PRODUCTS),
    "minimal_offloaded": jax.checkpoint_policies.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=list(_PRODUCTS),
        offload_src="device",
        offload_dst="pinned_host",
    ),
    "lean": jax.checkpoint_policies.save_only_these_names(*_READS),
    "full": None,
}

# Who runs attention, see `attention.lay_out`.
ATTENTION_KERNELS = ("auto", "xla", "pallas", "pallas_interpret")


@gin.configurable(module="network")
@dataclasses.dataclass(frozen=True)
class T5Config:
    """Shape and numerics of a T5 model.

    Attributes:
        vocab_size: rows of the embedding table.
        dtype: dtype of activations, 'float32' or 'bfloat16'. Parameters, norms, softmax and logits
            are float32 in both.
        emb_dim: width of the residual stream.
        num_heads: attention heads.
        num_encoder_layers: layers of the encoder.
        num_decoder_layers: layers of the decoder.
        head_dim: width of one head; num_heads * head_dim may differ from emb_dim.
        mlp_dim: hidden width of the feed-forward block.
        mlp_activations: one name (`('relu',)`) or two for the gated form (`('gelu', 'linear')`).
        dropout_rate: one rate for all dropouts.
        attention_dropout: False leaves attention weights out of dropout.
        logits_via_embedding: True ties the output projection to the embedding (T5 1.0).
        remat_policy: what the backward pass finds and what it computes again. 'none' keeps all
            activations, 'minimal' the results of weight products and of attention,
            'minimal_offloaded' the same in the host's memory, 'lean' those of them that read the
            stream (about a quarter less memory for about a tenth of the forward pass), 'full' layer
            inputs only.
        scan_layers: True runs each stack as one compiled layer in a loop, on stacked parameters.
        param_scan_axis: axis of the stacked parameters that counts layers.
        relpos_num_buckets: buckets of the relative position bias.
        relpos_max_distance: distance from which all keys share the last bucket.
        norm_epsilon: added to the mean square in norms.
        attention_kernel: 'auto' runs attention in TPU kernels, which keep its logits out of memory,
            where there are TPUs and rows are long enough; 'xla' never does, 'pallas' always,
            'pallas_interpret' runs the kernels' code on any device.
        prompt_length: rows P of a soft prompt in front of the encoder input; 0 for none.
        lora: which kernels have adapters (see `lora.LoraConfig`); None for none.
    """

    vocab_size: int
    dtype: str = "float32"
    emb_dim: int = 512
    num_heads: int = 8
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    head_dim: int = 64
    mlp_dim: int = 2048
    mlp_activations: tuple[str, ...] = ("relu",)
    dropout_rate: float = 0.1
    attention_dropout: bool = True
    logits_via_embedding: bool = False
    remat_policy: str = "none"
    scan_layers: bool = True
    param_scan_axis: int = 1
    relpos_num_buckets: int = 32
    relpos_max_distance: int = 128
    norm_epsilon: float = 1e-6
    attention_kernel: str = "auto"
    prompt_length: int = 0
    lora: LoraConfig | None = None

    def __post_init__(self) -> None:
        """Checks the values; raises ConfigError or NotFoundError naming the field."""
        check_common(self, ("num_encoder_layers", "num_decoder_layers"))

    @property
    def compute_dtype(self) -> DTypeLike:
        """The dtype that `dtype` names."""
        return DTYPES[self.dtype]


def check_common(config: Any, counts: Sequence[str] = ()) -> None:
    """Checks the fields that the configurations of all networks have.

    Args:
        config: the dataclass that is being made; its `mlp_activations` become a tuple.
        counts: further fields that hold a whole number of at least 1.

    Raises:
        ConfigError: a field is out of range; NotFoundError where a name is not known.
    """
    where = f"network.{type(config).__name__}"
    activations = config.mlp_activations
    if isinstance(activations, str):
        raise ConfigError(
            f"{where}.mlp_activations is {activations!r}. Set a sequence of names: "
            f"({activations!r},)."
        )
    object.__setattr__(config, "mlp_activations", tuple(activations))
    check_field(config, where)
    check_name(config, "dtype", DTYPES)
    check_name(config, "remat_policy", REMAT_POLICIES)
    check_name(config, "attention_kernel", ATTENTION_KERNELS)
    for activation in config.mlp_activations:
        if activation not in ACTIVATIONS:
            raise NotFoundError(
                f"{where}.mlp_activations is {activation!r}. Set one of: {', '.join(ACTIVATIONS)}."
                f"{suggest(str(activation), ACTIVATIONS)}"
            )
    if len(config.mlp_activations) not in (1, 2):
        raise ConfigError(
            f"{where}.mlp_activations has {len(config.mlp_activations)} entries. Give one name, "
            "such as ('relu',), or two for the gated form: ('gelu', 'linear')."
        )
    for field in ("vocab_size", "emb_dim", "num_heads", "head_dim", "mlp_dim", *counts):
        value = getattr(config, field)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{where}.{field} is {value!r}. Set a whole number of at least 1.")
    length = config.prompt_length
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise ConfigError(
            f"{where}.prompt_length is {length!r}. Set the number of rows of the soft prompt, such "
            "as 100, or 0 for none."
        )
    if not 0.0 <= config.dropout_rate < 1.0:
        raise ConfigError(
            f"{where}.dropout_rate is {config.dropout_rate!r}. Set a number from 0 up to but not "
            "including 1."
        )
    if config.param_scan_axis not in (0, 1):
        raise ConfigError(
            f"{where}.param_scan_axis is {config.param_scan_axis!r}. Set 0 or 1: norm scales have "
            "one axis, so layers cannot be counted further in."
        )
    if config.relpos_num_buckets < 4 or config.relpos_num_buckets % 4:
        raise ConfigError(
            f"{where}.relpos_num_buckets is {config.relpos_num_buckets!r}. Set a multiple of 4: it "
            "is halved for the two directions, and again for the exact half."
        )
    if config.relpos_max_distance <= config.relpos_num_buckets // 2:
        raise ConfigError(
            f"{where}.relpos_max_distance is {config.relpos_max_distance!r}. Set more than half of "
            f"relpos_num_buckets ({config.relpos_num_buckets})."
        )


def check_name(config: Any, field: str, options: Iterable[str]) -> None:
    """Raises NotFoundError unless a field holds one of the names."""
    value, options = getattr(config, field), list(options)
    if not isinstance(value, str) or value not in options:
        raise NotFoundError(
            f"network.{type(config).__name__}.{field} is {value!r}. Set one of: "
            f"{', '.join(options)}.{suggest(str(value), options)}"
        )
