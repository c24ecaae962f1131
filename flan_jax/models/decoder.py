"""Decoder-only Transformer: PaLM, LaMDA, GPT, Llama and T5X's own decoder-only layers.

Parameter names and shapes are those of T5X's decoder-only example; what it has no name for (learned
positions, biases, the one norm of a parallel block) is named in its manner. Layers are stacked
under `decoder/decoder` with `scan_layers`, else they are `decoder/layers_<i>`; `scan.py` converts.

No mask comes from token ids: 0 is a token like any other. Rows are padded at the right, where
causal attention hides padding from every token; packed rows have segment ids. The letters of the
array names are listed in `layers.py`.
"""

import dataclasses
from typing import Any

import gin
import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct

from flan_jax.errors import ConfigError
from flan_jax.models import attention as attn
from flan_jax.models import masks, rotary
from flan_jax.models.attention import Source
from flan_jax.models.decoder_config import DecoderConfig
from flan_jax.models.decoder_layer import DecoderOnlyLayer, kernel_init, make_norm
from flan_jax.models.layers import Dense, Embed, constrain
from flan_jax.models.masks import Visibility
from flan_jax.models.prompt import SoftPrompt, prepend_positions
from flan_jax.models.stack import Stack

__all__ = ["DecoderConfig", "DecoderOnlyTransformer", "PrefixCache"]


@struct.dataclass
class PrefixCache:
    """What decoding keeps between steps; a pytree, made by `DecoderOnlyTransformer.init_cache`.

    The B prefixes are computed once and kept apart from the N decoded rows, N / B to a prefix, so
    that several outputs of one prefix share its keys and values, and beams move without them.

    Attributes:
        self_attention: keys and values of decoded positions, the only part that a step changes.
            With scanned layers a pair of (layers)xNxGxMxK arrays, else such a pair for each layer.
        prefix: keys and values of the prefixes, likewise, with B for N and P for M.
        lengths_N: int32 positions of the prefix of each decoded row, a soft prompt's included.
        last_token_N: int32, its last token: the first step reads it and sees the others.
        batch_axis: axis of the rows in the leaves of both: 1 with scanned layers, else 0.
    """

    self_attention: Any
    prefix: Any
    lengths_N: jax.Array
    last_token_N: jax.Array
    batch_axis: int = struct.field(pytree_node=False)

    def repeat(self, times: int) -> "PrefixCache":
        """Gives each prefix `times` decoded rows beside each other: 0, 0, 1, 1, ... for two."""

        def rows(x: jax.Array) -> jax.Array:
            return jnp.repeat(x, times, axis=self.batch_axis)

        return dataclasses.replace(
            self,
            self_attention=jax.tree.map(rows, self.self_attention),
            lengths_N=jnp.repeat(self.lengths_N, times),
            last_token_N=jnp.repeat(self.last_token_N, times),
        )


class DecoderStack(Stack):
    """Everything of the network: embeddings, layers, the last norm and the output projection."""

    def setup(self) -> None:
        """Creates the sub-modules under T5X's names."""
        cfg: DecoderConfig = self.config
        stddev, dtype = cfg.embedding_init_stddev, cfg.compute_dtype
        self.token_embedder = Embed(cfg.vocab_size, cfg.emb_dim, dtype, stddev)
        if cfg.positions == "learned":
            self.position_embedder = Embed(
                cfg.max_positions, cfg.emb_dim, dtype, stddev, row_axis="abspos_buckets"
            )
        if cfg.prompt_length:
            self.prompt = SoftPrompt(cfg.prompt_length, dtype)
        if cfg.positions == "relative":
            self.relpos_bias = attn.relative_bias(cfg, bidirectional=False)
        self._setup_stack(DecoderOnlyLayer, cfg.num_layers, name="decoder")
        self.decoder_norm = make_norm(cfg)
        self.input_dropout = nn.Dropout(rate=cfg.dropout_rate, broadcast_dims=(-2,))
        output_rate = cfg.dropout_rate if cfg.mlp_dropout else 0.0
        self.output_dropout = nn.Dropout(rate=output_rate, broadcast_dims=(-2,))
        if not cfg.logits_via_embedding:
            self.logits_dense = Dense(
                cfg.vocab_size, ("embed", "vocab"), jnp.float32, kernel_init(cfg), cfg.lora
            )

    def _embed(
        self, tokens_BxT: jax.Array, position_BxT: jax.Array, with_prompt: bool = False
    ) -> jax.Array:
        """Embeds tokens; `with_prompt` puts the prompt in front, and positions are of both."""
        x_BxTxD = self.token_embedder(tokens_BxT)
        if with_prompt and self.config.prompt_length:
            x_BxTxD = self.prompt(x_BxTxD)
        if self.config.positions == "learned":
            x_BxTxD = x_BxTxD + jnp.broadcast_to(
                self.position_embedder(position_BxT), x_BxTxD.shape
            )
        return x_BxTxD

    def _rotation(self, position_BxT: jax.Array) -> rotary.Rotation | None:
        cfg = self.config
        if cfg.positions != "rotary":
            return None
        turn_R = rotary.frequencies(cfg.head_dim, cfg.rotary_base, cfg.rotary_scaling)
        return rotary.make_rotation(position_BxT, turn_R)

    def _bias(self, length: int) -> jax.Array | None:
        """The relative bias 1xHxTxT among positions that stand in a row, or None."""
        return self.relpos_bias(length, length) if self.config.positions == "relative" else None

    def _lay_out(self, visible: Visibility, batch: int) -> tuple[attn.Mask, jax.Array | None]:
        cfg: DecoderConfig = self.config
        bias = self.relpos_bias if cfg.positions == "relative" else None
        return attn.lay_out(cfg.attention_kernel, visible, cfg, batch, bias)

    def __call__(
        self,
        tokens_BxT: jax.Array,
        position_BxT: jax.Array | None,
        visible: Visibility,
        deterministic: bool,
    ) -> jax.Array:
        """Maps tokens BxT to hidden states BxTxD after norm and dropout.

        `visible` covers the prompt, positions do not.
        """
        batch, length = tokens_BxT.shape
        if position_BxT is None:
            position_BxT = jnp.arange(length)[None]
        prompt = self.config.prompt_length
        position_BxT, length = prepend_positions(position_BxT, prompt), prompt + length
        x_BxTxD = self._embed(tokens_BxT, position_BxT, with_prompt=True)
        x_BxTxD = self.input_dropout(x_BxTxD, deterministic=deterministic)
        sizes = DecoderOnlyLayer.dropout_sizes(self.config, length)
        keep = self._draw_keep(sizes, batch, deterministic)
        rotation = self._rotation(position_BxT)
        mask, bias = self._lay_out(visible, batch)
        x_BxTxD = self._run_layers(x_BxTxD, keep, mask, bias, rotation)
        x_BxTxD = self.decoder_norm(x_BxTxD[:, prompt:])
        return self.output_dropout(x_BxTxD, deterministic=deterministic)

    def project(self, hidden_BxTxD: jax.Array) -> jax.Array:
        """Returns float32 logits BxTxV."""
        cfg = self.config
        if cfg.logits_via_embedding:
            return self.token_embedder.attend(hidden_BxTxD, scaled=cfg.scale_tied_logits)
        return self.logits_dense(hidden_BxTxD)

    def init_cache(
        self, tokens_BxP: jax.Array, lengths_B: jax.Array, decode_length: int, bidirectional: bool
    ) -> PrefixCache:
        """Computes keys and values of the prefixes, and zeros for the decoded positions."""
        cfg = self.config
        rows, length = tokens_BxP.shape
        last_B = jnp.maximum(lengths_B - 1, 0)
        last_token_B = jnp.take_along_axis(tokens_BxP, last_B[:, None], axis=1)[:, 0]
        # From here on a prefix is the prompt and its tokens.
        length, lengths_B = cfg.prompt_length + length, cfg.prompt_length + lengths_B
        position_1xP = jnp.arange(length)[None]
        real_BxP = position_1xP < lengths_B[:, None]
        visible = masks.of_row(length, prefix_BxT=real_BxP if bidirectional else None)
        mask, bias = self._lay_out(visible, rows)

        def body(layer: Any, x: jax.Array, _: None, *shared: Any) -> tuple[jax.Array, Any]:
            return layer.prefill(x, *shared)

        x_BxPxD = self._embed(tokens_BxP, position_1xP, with_prompt=True)
        rotation = self._rotation(position_1xP)
        _, prefix = self._each_layer(body, x_BxPxD, None, mask, bias, rotation)
        shape = (rows, cfg.kv_heads, decode_length, cfg.head_dim)
        if cfg.scan_layers:
            shape = (cfg.num_layers, *shape)
        return PrefixCache(
            self_attention=jax.tree.map(lambda x: jnp.zeros(shape, x.dtype), prefix),
            prefix=prefix,
            lengths_N=lengths_B,
            last_token_N=last_token_B,
            batch_axis=1 if cfg.scan_layers else 0,
        )

    def _look_back(
        self, cache: PrefixCache, position_NxT: jax.Array
    ) -> tuple[jax.Array, jax.Array | None]:
        """Mask and bias of decoded positions towards the prefix, without its last token."""
        length = jax.tree.leaves(cache.prefix)[0].shape[-2]
        mask_NxP = jnp.arange(length)[None] < cache.lengths_N[:, None] - 1
        bias = None
        if self.config.positions == "relative":
            bias = self.relpos_bias.far_rows(position_NxT, length)
        return mask_NxP[:, None, None, :], bias

    def extend(self, tokens_NxT: jax.Array, cache: PrefixCache) -> jax.Array:
        """Maps tokens that follow the prefixes, their last token first, to hidden states NxTxD."""
        length = tokens_NxT.shape[1]
        position_NxT = _first_position(cache)[:, None] + jnp.arange(length)[None]
        mask, bias = self._look_back(cache, position_NxT)

        def body(layer: Any, x: jax.Array, prefix: Any, mask: Any, bias: Any, *shared: Any) -> Any:
            return layer.extend(x, Source(prefix[0], prefix[1], mask, bias), *shared), None

        x_NxTxD, _ = self._each_layer(
            body,
            self._embed(tokens_NxT, position_NxT),
            cache.prefix,
            mask,
            bias,
            masks.causal_mask(length),
            self._bias(length),
            self._rotation(position_NxT),
        )
        return self.decoder_norm(x_NxTxD)

    def step(
        self, tokens_N: jax.Array, cache: PrefixCache, index: jax.Array
    ) -> tuple[jax.Array, PrefixCache]:
        """Decodes one position; returns its hidden state Nx1xD and the cache for the next."""
        token_Nx1 = jnp.where(index == 0, cache.last_token_N, tokens_N)[:, None]
        position_Nx1 = (_first_position(cache) + index)[:, None]
        x_Nx1xD = self._embed(token_Nx1, position_Nx1)
        rotation = self._rotation(position_Nx1)
        back_mask, back_bias = self._look_back(cache, position_Nx1)
        bias = None
        if self.config.positions == "relative":
            length = jax.tree.leaves(cache.self_attention)[0].shape[-2]
            bias = self.relpos_bias.row(index, length)
        shared = (back_mask, back_bias, bias, rotation, index)
        if self.config.scan_layers:
            # The stacked cache is carried and written in place, so that a step does not copy it.
            def body(layer: Any, carry: Any, pair: Any, mask: Any, back: Any, *shared: Any) -> Any:
                x, own, number = carry
                source = Source(pair[0], pair[1], mask, back)
                x, own = layer.step(x, own, source, *shared, number)
                return (x, own, number + 1), None

            carry = (x_Nx1xD, cache.self_attention, jnp.zeros((), jnp.int32))
            (x_Nx1xD, own, _), _ = self._scan(body, carry, cache.prefix, *shared)
        else:
            updated = []
            for layer, pair, prefix in zip(
                self.layers, cache.self_attention, cache.prefix, strict=True
            ):
                source = Source(prefix[0], prefix[1], back_mask, back_bias)
                x_Nx1xD, pair = layer.step(x_Nx1xD, pair, source, bias, rotation, index, None)
                updated.append(pair)
            own = tuple(updated)
        return self.decoder_norm(x_Nx1xD), dataclasses.replace(cache, self_attention=own)


def _first_position(cache: PrefixCache) -> jax.Array:
    """Position of the prefix's last token, N; 0 for a row without a prefix."""
    return jnp.maximum(cache.lengths_N - 1, 0)


@gin.configurable(module="network")
class DecoderOnlyTransformer(nn.Module):
    """Decoder-only Transformer with the call signature of T5X's decoder-only network.

    Decoding one token at a time does not use a flag: `init_cache`, `decode_step` and
    `continuations` are pure functions of an explicit `PrefixCache`, called with
    `method="init_cache"` and so on.
    """

    config: DecoderConfig

    def setup(self) -> None:
        """Creates the one stack."""
        self.decoder = DecoderStack(self.config)

    def __call__(
        self,
        decoder_input_tokens: jax.Array,
        decoder_target_tokens: jax.Array,
        decoder_segment_ids: jax.Array | None = None,
        decoder_positions: jax.Array | None = None,
        decoder_causal_attention: jax.Array | None = None,
        *,
        enable_dropout: bool = True,
        return_hidden: bool = False,
    ) -> jax.Array:
        """Runs all positions at once.

        Args:
            decoder_input_tokens: int32 BxT, targets shifted right.
            decoder_target_tokens: int32 BxT, accepted and not used.
            decoder_segment_ids: int32 BxT for packed rows, 0 is padding.
            decoder_positions: int32 BxT, positions from 0 within each segment; needed for packed
                rows unless positions are relative.
            decoder_causal_attention: int32 BxT, not 0 on the positions that see each other both
                ways; None leaves all attention causal.
            enable_dropout: needs a `dropout` rng when True and the rate is above 0.
            return_hidden: True returns the states that `project_logits` takes.

        Returns:
            float32 logits BxTxV, or with `return_hidden` BxTxD of the compute dtype.

        Raises:
            ConfigError: rows are longer than the table of learned positions, or packed where a
                prompt cannot serve all segments.
        """
        del decoder_target_tokens
        assert decoder_segment_ids is None or decoder_positions is not None, (
            "packed rows need decoder_positions"
        )
        prompt = self.config.prompt_length
        length = prompt + decoder_input_tokens.shape[1]
        self._check_length(length)
        if prompt and decoder_segment_ids is not None:
            self._check_packing(decoder_causal_attention is not None)
        front = ((0, 0), (prompt, 0))
        seen, segment = decoder_causal_attention, decoder_segment_ids
        if seen is not None:
            seen = jnp.pad(seen, front, constant_values=1)
        if segment is not None:
            segment = jnp.pad(segment, front)
        # All segments of a row stand behind the one prompt, which sees none of them.
        visible = masks.of_row(length, segment, seen, open_keys=prompt)
        hidden_BxTxD = self.decoder(
            decoder_input_tokens, decoder_positions, visible, deterministic=not enable_dropout
        )
        return hidden_BxTxD if return_hidden else self.project_logits(hidden_BxTxD)

    def project_logits(self, hidden_BxTxD: jax.Array) -> jax.Array:
        """Projects hidden states to float32 logits BxTxV."""
        return constrain(self.decoder.project(hidden_BxTxD), "batch", "length", "vocab")

    def init_cache(
        self,
        prefix_tokens: jax.Array,
        prefix_lengths: jax.Array,
        max_decode_length: int,
        bidirectional: bool = False,
    ) -> PrefixCache:
        """Runs the prefixes and prepares decoding of at most `max_decode_length` tokens after each.

        Args:
            prefix_tokens: int32 BxP, padded at the right with anything.
            prefix_lengths: int32 B; 0 for a row that is padding.
            max_decode_length: M.
            bidirectional: whether the tokens of a prefix see each other both ways.

        Raises:
            ConfigError: the last position is beyond the table of learned positions.
        """
        prompt = self.config.prompt_length
        self._check_length(prompt + prefix_tokens.shape[1] + max_decode_length - 1)
        return self.decoder.init_cache(
            prefix_tokens, prefix_lengths, max_decode_length, bidirectional
        )

    def decode_step(
        self, cache: PrefixCache, tokens: jax.Array, index: jax.Array | int
    ) -> tuple[jax.Array, PrefixCache]:
        """Decodes one position of every row.

        Args:
            cache: from `init_cache` or the step before.
            tokens: int32 N or Nx1, the token decoded before; not read at index 0, where it is the
                last one of the prefix.
            index: scalar from 0, the same for all rows, below `max_decode_length`.

        Returns:
            float32 logits NxV of token `index`, and the cache for the next step.
        """
        index = jnp.asarray(index, jnp.int32)
        hidden_Nx1xD, cache = self.decoder.step(tokens.reshape(-1), cache, index)
        return self.project_logits(hidden_Nx1xD)[:, 0], cache

    def continuations(self, cache: PrefixCache, tokens: jax.Array) -> jax.Array:
        """Float32 logits NxTxV of given tokens NxT after the prefix of their row.

        Args:
            cache: from `init_cache`, repeated to N rows; decoded positions are not read.
            tokens: int32 NxT, T at most `max_decode_length`.
        """
        first_Nx1 = cache.last_token_N[:, None]
        inputs_NxT = jnp.concatenate([first_Nx1, tokens[:, :-1]], axis=1)
        return self.project_logits(self.decoder.extend(inputs_NxT, cache))

    def _check_packing(self, bidirectional: bool) -> None:
        if bidirectional or not self.config.packs_with_prompt:
            why = "inputs that see it both ways" if bidirectional else "relative positions"
            raise ConfigError(
                "The rows are packed (they have decoder_segment_ids), and a soft prompt with "
                f"{why} stands in front of single examples. Pack no rows: "
                "utils.DatasetConfig.pack = False."
            )

    def _check_length(self, length: int) -> None:
        cfg = self.config
        if cfg.positions == "learned" and length > cfg.max_positions:
            raise ConfigError(
                f"Rows have {length} positions, and the model has learned {cfg.max_positions}. "
                "Shorten the inputs or the targets (TASK_FEATURE_LENGTHS, "
                "decoding.DecodeConfig.max_decode_length), or set "
                f"network.DecoderConfig.max_positions = {length} and train those."
            )
