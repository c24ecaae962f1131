"""Configuration of the decoder-only family, checked when it is made."""

import dataclasses

import gin
from jax.typing import DTypeLike

from flan_jax.errors import ConfigError
from flan_jax.models import rotary
from flan_jax.models.config import DTYPES, check_common, check_name
from flan_jax.models.lora import LoraConfig

NORMS = ("rms", "layer")
POSITIONS = ("relative", "rotary", "learned", "none")
KERNEL_INITS = ("t5", "fan_in", "normal", "gpt2")

_WHERE = "network.DecoderConfig"


@gin.configurable(module="network")
@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Shape and numerics of a decoder-only model. The defaults are T5X's decoder-only layers.

    Attributes:
        vocab_size: rows of the embedding table.
        dtype: dtype of activations, 'float32' or 'bfloat16'. Parameters, norms, softmax and logits
            are float32 in both.
        emb_dim: width of the residual stream.
        num_heads: attention heads.
        num_kv_heads: heads of keys and values, each serving num_heads / num_kv_heads heads; 1 is
            multi-query attention, None is num_heads.
        head_dim: width of one head; num_heads * head_dim may differ from emb_dim.
        num_layers: layers.
        mlp_dim: hidden width of the feed-forward block.
        mlp_activations: one name (`('gelu',)`) or two for the gated form (`('silu', 'linear')`).
        dropout_rate: one rate for all dropouts.
        attention_dropout: False leaves attention weights out of dropout.
        mlp_dropout: False leaves out the hidden part of the feed-forward block and the output of
            the last norm, which T5 drops and GPT does not.
        parallel_block: True feeds both blocks from one norm and adds their sum (PaLM), False runs
            one after the other.
        norm: 'rms' or 'layer', which subtracts the mean.
        norm_bias: whether norms of kind 'layer' add a vector.
        norm_epsilon: added to the mean square or the variance in norms.
        use_bias: whether the projections of both blocks add a vector.
        qkv_bias: whether query, key and value do even without `use_bias` (Qwen 2).
        positions: how a model knows positions: 'relative' (T5's causal bias), 'rotary', 'learned'
            (added to the embedding) or 'none'.
        relpos_num_buckets: buckets of the relative position bias.
        relpos_max_distance: distance from which all keys share the last bucket.
        rotary_base: the slowest rotary pair turns about once in 6 times as many positions.
        rotary_style: 'halves' or 'interleaved', see `rotary`.
        rotary_scaling: Llama 3.1's scaling, or None.
        max_positions: rows of the table of learned positions, and so the longest row. With other
            positions it only says how long the rows were that the weights were trained on.
        attention_scale: True divides attention logits by sqrt(head_dim); False divides the initial
            query kernel, as T5.
        logits_via_embedding: True ties the output projection to the embedding.
        scale_tied_logits: True multiplies tied logits by emb_dim**-0.5 (T5, PaLM).
        kernel_init: 't5' (variance 1/fan-in; normal in attention, normal cut at two deviations in
            the feed-forward block), 'fan_in' (variance 1/fan-in, normal; PaLM), 'normal' (deviation
            `init_stddev`) or 'gpt2' (as 'normal', with kernels that write to the residual stream
            divided by sqrt(2 num_layers)).
        init_stddev: see `kernel_init`.
        embedding_init_stddev: standard deviation of the embedding at the start.
        remat_policy: what the backward pass finds and what it computes again. 'none' keeps all
            activations, 'minimal' the results of weight products and of attention,
            'minimal_offloaded' the same in the host's memory, 'lean' those of them that read the
            stream (about a quarter less memory for about a tenth of the forward pass), 'full' layer
            inputs only.
        scan_layers: True runs the stack as one compiled layer in a loop, on stacked parameters.
        param_scan_axis: axis of the stacked parameters that counts layers.
        attention_kernel: 'auto' runs attention in TPU kernels, which keep its logits out of memory,
            where there are TPUs and rows are long enough; 'xla' never does, 'pallas' always,
            'pallas_interpret' runs the kernels' code on any device.
        prompt_length: rows P of a soft prompt in front of every row; 0 for none.
        lora: which kernels have adapters (see `lora.LoraConfig`); None for none.
    """

    vocab_size: int
    dtype: str = "float32"
    emb_dim: int = 512
    num_heads: int = 8
    num_kv_heads: int | None = None
    head_dim: int = 64
    num_layers: int = 6
    mlp_dim: int = 2048
    mlp_activations: tuple[str, ...] = ("gelu", "linear")
    dropout_rate: float = 0.1
    attention_dropout: bool = True
    mlp_dropout: bool = True
    parallel_block: bool = False
    norm: str = "rms"
    norm_bias: bool = False
    norm_epsilon: float = 1e-6
    use_bias: bool = False
    qkv_bias: bool = False
    positions: str = "relative"
    relpos_num_buckets: int = 32
    relpos_max_distance: int = 128
    rotary_base: float = 10_000.0
    rotary_style: str = "halves"
    rotary_scaling: rotary.RotaryScaling | None = None
    max_positions: int = 2048
    attention_scale: bool = False
    logits_via_embedding: bool = True
    scale_tied_logits: bool = True
    kernel_init: str = "t5"
    init_stddev: float = 0.02
    embedding_init_stddev: float = 1.0
    remat_policy: str = "none"
    scan_layers: bool = True
    param_scan_axis: int = 1
    attention_kernel: str = "auto"
    prompt_length: int = 0
    lora: LoraConfig | None = None

    def __post_init__(self) -> None:
        """Checks the values; raises ConfigError or NotFoundError naming the field."""
        check_common(self, ("num_layers", "max_positions"))
        check_name(self, "norm", NORMS)
        check_name(self, "positions", POSITIONS)
        check_name(self, "rotary_style", rotary.STYLES)
        check_name(self, "kernel_init", KERNEL_INITS)
        self._check_heads()
        if self.norm_bias and self.norm == "rms":
            raise ConfigError(
                f"{_WHERE}.norm_bias is True and norm is 'rms', which has no bias. Set norm = "
                "'layer', or norm_bias = False."
            )
        if self.positions == "rotary" and self.head_dim % 2:
            raise ConfigError(
                f"{_WHERE}.head_dim is {self.head_dim}; rotary positions turn pairs of channels. "
                "Set an even number."
            )
        if not isinstance(self.rotary_scaling, rotary.RotaryScaling | None):
            raise ConfigError(
                f"{_WHERE}.rotary_scaling is {self.rotary_scaling!r}. Set "
                "@network.RotaryScaling(), or None."
            )
        for field in ("rotary_base", "norm_epsilon", "init_stddev", "embedding_init_stddev"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ConfigError(f"{_WHERE}.{field} is {value!r}. Set a number above 0.")

    def _check_heads(self) -> None:
        heads = self.num_kv_heads
        if heads is None:
            return
        whole = isinstance(heads, int) and not isinstance(heads, bool) and heads >= 1
        if not whole or self.num_heads % heads:
            raise ConfigError(
                f"{_WHERE}.num_kv_heads is {heads!r}. Set a divisor of num_heads "
                f"({self.num_heads}), or None for as many."
            )

    @property
    def compute_dtype(self) -> DTypeLike:
        """The dtype that `dtype` names."""
        return DTYPES[self.dtype]

    @property
    def packs_with_prompt(self) -> bool:
        """Whether all segments of a packed row can stand behind one prompt.

        Positions begin anew with each segment; relative ones are of places in the row.
        """
        return self.positions != "relative"

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.num_heads if self.num_kv_heads is None else self.num_kv_heads
