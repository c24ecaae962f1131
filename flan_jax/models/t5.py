"""T5 encoder-decoder: 1.0, 1.1, LM-adapted, Flan, mT5 and ByT5 shapes.

Parameter names, shapes and initial distributions are T5X's, so its checkpoints fit. With
`scan_layers` the layers of a stack live stacked under `encoder/encoder` and `decoder/decoder`,
without it under `encoder/layers_<i>`; `scan.py` converts exactly. The relative bias is one table
per stack either way. The letters of the array names are listed in `layers.py`.
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
from flan_jax.models import masks
from flan_jax.models.blocks import DecoderLayer, EncoderLayer
from flan_jax.models.config import T5Config
from flan_jax.models.layers import Dense, Embed, RMSNorm, constrain
from flan_jax.models.masks import Visibility
from flan_jax.models.prompt import SoftPrompt, prepend_tokens
from flan_jax.models.stack import Stack

__all__ = ["DecodeCache", "T5Config", "Transformer"]


@struct.dataclass
class DecodeCache:
    """What decoding keeps between steps; a pytree, made by `Transformer.init_cache`.

    Attributes:
        self_attention: keys and values of decoded positions, the only part that a step changes and
            that differs between hypotheses of one input. With scanned layers a pair of NxBxHxMxK
            arrays, else one pair of BxHxMxK for each layer.
        cross_attention: keys and values of the encoder output, likewise, with L for M.
        source_mask_BxL: True where the encoder token is not padding.
        batch_axis: axis of the batch in every leaf of the two attention parts: 1 with scanned
            layers, else 0. In `source_mask_BxL` it is 0.
    """

    self_attention: Any
    cross_attention: Any
    source_mask_BxL: jax.Array
    batch_axis: int = struct.field(pytree_node=False)

    def repeat(self, times: int) -> "DecodeCache":
        """Repeats each row `times` times in place: 0, 0, 1, 1, ... for two hypotheses a row."""

        def attention(x: jax.Array) -> jax.Array:
            return jnp.repeat(x, times, axis=self.batch_axis)

        return dataclasses.replace(
            self,
            self_attention=jax.tree.map(attention, self.self_attention),
            cross_attention=jax.tree.map(attention, self.cross_attention),
            source_mask_BxL=jnp.repeat(self.source_mask_BxL, times, axis=0),
        )


class Encoder(Stack):
    """The encoder stack, from embedded tokens to BxLxD; with a prompt, to Bx(P+L)xD."""

    def setup(self) -> None:
        """Creates the layers, the final norm and, if there is one, the soft prompt."""
        cfg = self.config
        if cfg.prompt_length:
            self.prompt = SoftPrompt(cfg.prompt_length, cfg.compute_dtype)
        self.relpos_bias = attn.relative_bias(cfg, bidirectional=True)
        self._setup_stack(EncoderLayer, cfg.num_encoder_layers, name="encoder")
        self.encoder_norm = RMSNorm(epsilon=cfg.norm_epsilon, dtype=cfg.compute_dtype)
        self.input_dropout = nn.Dropout(rate=cfg.dropout_rate, broadcast_dims=(-2,))
        # The one mask of T5 that is not shared along the length.
        self.output_dropout = nn.Dropout(rate=cfg.dropout_rate)

    def __call__(self, x_BxLxD: jax.Array, visible: Visibility, deterministic: bool) -> jax.Array:
        """Maps embedded tokens BxLxD to encoder output; `visible` covers the prompt's rows too."""
        if self.config.prompt_length:
            x_BxLxD = self.prompt(x_BxLxD)
        batch, length, _ = x_BxLxD.shape
        x_BxLxD = self.input_dropout(x_BxLxD, deterministic=deterministic)
        kernel = self.config.attention_kernel
        mask, bias = attn.lay_out(kernel, visible, self.config, batch, self.relpos_bias)
        sizes = EncoderLayer.dropout_sizes(self.config, length)
        keep = self._draw_keep(sizes, batch, deterministic)
        x_BxLxD = self._run_layers(x_BxLxD, keep, mask, bias)
        x_BxLxD = self.output_dropout(self.encoder_norm(x_BxLxD), deterministic=deterministic)
        # Every layer of the decoder reads all of it: gathered once here, not once in each.
        return constrain(x_BxLxD, "batch", "length", "embed")


class Decoder(Stack):
    """The decoder stack, from embedded tokens to hidden states, and the untied projection."""

    def setup(self) -> None:
        """Creates the layers, the final norm and, if untied, the projection to logits."""
        cfg = self.config
        self.relpos_bias = attn.relative_bias(cfg, bidirectional=False)
        self._setup_stack(DecoderLayer, cfg.num_decoder_layers, name="decoder")
        self.decoder_norm = RMSNorm(epsilon=cfg.norm_epsilon, dtype=cfg.compute_dtype)
        self.dropout = nn.Dropout(rate=cfg.dropout_rate, broadcast_dims=(-2,))
        if not cfg.logits_via_embedding:
            axes = ("embed", "vocab")
            self.logits_dense = Dense(cfg.vocab_size, axes, jnp.float32, lora=cfg.lora)

    def __call__(
        self,
        x_BxTxD: jax.Array,
        encoded_BxLxD: jax.Array,
        own: Visibility,
        cross: Visibility,
        deterministic: bool,
    ) -> jax.Array:
        """Maps embedded tokens BxTxD to hidden states BxTxD after norm and dropout."""
        batch, length, _ = x_BxTxD.shape
        x_BxTxD = self.dropout(x_BxTxD, deterministic=deterministic)
        kernel = self.config.attention_kernel
        self_mask, bias = attn.lay_out(kernel, own, self.config, batch, self.relpos_bias)
        cross_mask, _ = attn.lay_out(kernel, cross, self.config, batch, None)
        sizes = DecoderLayer.dropout_sizes(self.config, length, encoded_BxLxD.shape[1])
        keep = self._draw_keep(sizes, batch, deterministic)
        x_BxTxD = self._run_layers(x_BxTxD, keep, encoded_BxLxD, self_mask, cross_mask, bias)
        return self.dropout(self.decoder_norm(x_BxTxD), deterministic=deterministic)

    def project(self, hidden_BxTxD: jax.Array) -> jax.Array:
        """Returns float32 logits BxTxV of the untied projection."""
        return self.logits_dense(hidden_BxTxD)

    def init_cache(self, encoded_BxLxD: jax.Array, mask_BxL: jax.Array, length: int) -> DecodeCache:
        """Computes the cross-attention part and zeros for `length` decoded positions."""
        cfg = self.config
        shape = (encoded_BxLxD.shape[0], cfg.num_heads, length, cfg.head_dim)
        if not cfg.scan_layers:
            cross = tuple(layer.cross_key_value(encoded_BxLxD) for layer in self.layers)
            own = tuple((jnp.zeros(shape, k.dtype), jnp.zeros(shape, v.dtype)) for k, v in cross)
            return DecodeCache(own, cross, mask_BxL, batch_axis=0)

        def body(layer: Any, carry: None, _: None, encoded: jax.Array) -> tuple[None, Any]:
            return carry, layer.cross_key_value(encoded)

        _, cross = self._scan(body, None, None, encoded_BxLxD)
        own = tuple(jnp.zeros((self.num_layers, *shape), x.dtype) for x in cross)
        return DecodeCache(own, cross, mask_BxL, batch_axis=1)

    def step(
        self, x_Bx1xD: jax.Array, cache: DecodeCache, index: jax.Array
    ) -> tuple[jax.Array, DecodeCache]:
        """Decodes one position; returns its hidden state Bx1xD and the cache for the next."""
        # Leaves are BxHxMxK or NxBxHxMxK: the length is next to last in both.
        length = jax.tree.leaves(cache.self_attention)[0].shape[-2]
        bias = self.relpos_bias.row(index, length)
        mask = cache.source_mask_BxL[:, None, None, :]
        if self.config.scan_layers:
            # The stacked cache is carried and written in place, so that a step does not copy it.
            def body(layer: Any, carry: Any, cross: Any, *shared: Any) -> tuple[Any, None]:
                x, own, number = carry
                x, own = layer.step(x, own, cross, *shared, number)
                return (x, own, number + 1), None

            carry = (x_Bx1xD, cache.self_attention, jnp.zeros((), jnp.int32))
            (x_Bx1xD, own, _), _ = self._scan(body, carry, cache.cross_attention, mask, bias, index)
        else:
            updated = []
            for layer, pair, cross in zip(
                self.layers, cache.self_attention, cache.cross_attention, strict=True
            ):
                x_Bx1xD, pair = layer.step(x_Bx1xD, pair, cross, mask, bias, index, None)
                updated.append(pair)
            own = tuple(updated)
        return self.decoder_norm(x_Bx1xD), dataclasses.replace(cache, self_attention=own)


@gin.configurable(module="network")
class Transformer(nn.Module):
    """Encoder-decoder Transformer with T5X's call signatures.

    Decoding one token at a time does not use a flag: `init_cache` and `decode_step` are pure
    functions of an explicit `DecodeCache`, called with `method="init_cache"` and so on.
    """

    config: T5Config

    def setup(self) -> None:
        """Creates the shared embedding and the two stacks."""
        cfg = self.config
        self.token_embedder = Embed(cfg.vocab_size, cfg.emb_dim, cfg.compute_dtype)
        self.encoder = Encoder(cfg)
        self.decoder = Decoder(cfg)

    def encode(
        self,
        encoder_input_tokens: jax.Array,
        encoder_segment_ids: jax.Array | None = None,
        enable_dropout: bool = True,
    ) -> jax.Array:
        """Encodes int tokens BxL into BxLxD of the compute dtype; with a prompt Bx(P+L)xD.

        Args:
            encoder_input_tokens: int32 BxL, 0 is padding.
            encoder_segment_ids: int32 BxL for packed rows; not with a prompt.
            enable_dropout: needs a `dropout` rng when True and the rate is above 0.

        Raises:
            ConfigError: packed rows, and the model has a prompt.
        """
        source = self._source(encoder_input_tokens)
        if encoder_segment_ids is not None and self.config.prompt_length:
            raise ConfigError(
                "The rows are packed (they have encoder_segment_ids), and the model has a soft "
                "prompt, which stands in front of single examples. Pack no rows: "
                "utils.DatasetConfig.pack = False."
            )
        segment = encoder_segment_ids
        visible = masks.of_tokens(source, source, segment, segment, aligned=True)
        x_BxLxD = self.token_embedder(encoder_input_tokens)
        return self.encoder(x_BxLxD, visible, deterministic=not enable_dropout)

    def _source(self, encoder_input_tokens: jax.Array) -> jax.Array:
        """The tokens BxL that masks are made of; Bx(P+L) with a prompt."""
        if not self.config.prompt_length:
            return encoder_input_tokens
        return prepend_tokens(encoder_input_tokens, self.config.prompt_length)

    def decode(
        self,
        encoded: jax.Array,
        encoder_input_tokens: jax.Array,
        decoder_input_tokens: jax.Array,
        decoder_target_tokens: jax.Array,
        encoder_segment_ids: jax.Array | None = None,
        decoder_segment_ids: jax.Array | None = None,
        decoder_positions: jax.Array | None = None,
        enable_dropout: bool = True,
        return_hidden: bool = False,
    ) -> jax.Array:
        """Decodes all target positions at once.

        Args:
            encoded: from `encode`.
            encoder_input_tokens: int32 BxL, for the padding mask only.
            decoder_input_tokens: int32 BxT, targets shifted right.
            decoder_target_tokens: int32 BxT, for the padding mask only.
            encoder_segment_ids: int32 BxL for packed rows.
            decoder_segment_ids: int32 BxT for packed rows; needed with encoder_segment_ids.
            decoder_positions: int32 BxT, accepted and not used: relative bias needs none.
            enable_dropout: needs a `dropout` rng when True and the rate is above 0.
            return_hidden: True returns the states that `project_logits` takes.

        Returns:
            float32 logits BxTxV, or with `return_hidden` BxTxD of the compute dtype.
        """
        del decoder_positions
        assert (encoder_segment_ids is None) == (decoder_segment_ids is None), (
            "packed rows need the segment ids of both sides"
        )
        source, target = self._source(encoder_input_tokens), decoder_target_tokens
        segment = decoder_segment_ids
        own = masks.of_tokens(target, target, segment, segment, aligned=True, causal=True)
        cross = masks.of_tokens(target, source, segment, encoder_segment_ids)
        hidden_BxTxD = self.decoder(
            self.token_embedder(decoder_input_tokens),
            encoded,
            own,
            cross,
            deterministic=not enable_dropout,
        )
        return hidden_BxTxD if return_hidden else self.project_logits(hidden_BxTxD)

    def __call__(
        self,
        encoder_input_tokens: jax.Array,
        decoder_input_tokens: jax.Array,
        decoder_target_tokens: jax.Array,
        encoder_segment_ids: jax.Array | None = None,
        decoder_segment_ids: jax.Array | None = None,
        encoder_positions: jax.Array | None = None,
        decoder_positions: jax.Array | None = None,
        *,
        enable_dropout: bool = True,
        return_hidden: bool = False,
    ) -> jax.Array:
        """Encodes and decodes; arguments and result as in `encode` and `decode`.

        `encoder_positions` and `decoder_positions` are accepted and not used: relative bias needs
        none.
        """
        del encoder_positions
        encoded = self.encode(encoder_input_tokens, encoder_segment_ids, enable_dropout)
        return self.decode(
            encoded,
            encoder_input_tokens,
            decoder_input_tokens,
            decoder_target_tokens,
            encoder_segment_ids,
            decoder_segment_ids,
            decoder_positions,
            enable_dropout,
            return_hidden,
        )

    def project_logits(self, hidden_BxTxD: jax.Array) -> jax.Array:
        """Projects hidden states to float32 logits BxTxV; tied logits are scaled by D**-0.5."""
        if self.config.logits_via_embedding:
            logits_BxTxV = self.token_embedder.attend(hidden_BxTxD)
        else:
            logits_BxTxV = self.decoder.project(hidden_BxTxD)
        return constrain(logits_BxTxV, "batch", "length", "vocab")

    def init_cache(
        self, encoded: jax.Array, encoder_input_tokens: jax.Array, max_decode_length: int
    ) -> DecodeCache:
        """Prepares decoding of at most `max_decode_length` positions.

        Keys and values of cross-attention are computed here, once for all steps.

        Args:
            encoded: from `encode`.
            encoder_input_tokens: int32 BxL, for the padding mask only.
            max_decode_length: M, the length of the self-attention cache.
        """
        mask_BxL = self._source(encoder_input_tokens) > 0
        return self.decoder.init_cache(encoded, mask_BxL, max_decode_length)

    def decode_step(
        self, cache: DecodeCache, tokens: jax.Array, index: jax.Array | int
    ) -> tuple[jax.Array, DecodeCache]:
        """Decodes one position of every row.

        Args:
            cache: from `init_cache` or the step before.
            tokens: int32 B or Bx1, the token before this position (0 at the start).
            index: scalar position from 0, the same for all rows, below the cache's length.

        Returns:
            float32 logits BxV and the cache for the next step.
        """
        x_Bx1xD = self.token_embedder(tokens.reshape(-1, 1))
        hidden_Bx1xD, cache = self.decoder.step(x_Bx1xD, cache, jnp.asarray(index, jnp.int32))
        return self.project_logits(hidden_Bx1xD)[:, 0], cache
