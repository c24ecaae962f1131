"""Binds an encoder-decoder network to its loss, scores and predictions."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import gin
import jax
import jax.numpy as jnp

from flan_jax import losses
from flan_jax.axes import PyTree
from flan_jax.data.layout import RowLayout
from flan_jax.losses import Batch, LossFactor
from flan_jax.models.base import BaseModel
from flan_jax.optimizers import OptimizerDef

_SMALLEST_SHAPES = {"encoder_input_tokens": (1, 2), "decoder_input_tokens": (1, 2)}


@gin.configurable(module="models")
class EncoderDecoderModel(BaseModel):
    """A network with an encoder and a decoder, called with T5X's arguments; see `BaseModel`."""

    def __init__(
        self,
        module: nn.Module,
        input_vocabulary: Any = None,
        output_vocabulary: Any = None,
        optimizer_def: OptimizerDef | None = None,
        z_loss: float = 1e-4,
        label_smoothing: float = 0.0,
        loss_normalizing_factor: LossFactor = losses.NUM_REAL_TARGET_TOKENS,
        loss_chunk_size: int | None = None,
    ):
        """Checks the numbers; see `BaseModel` for the arguments and errors."""
        super().__init__(
            module,
            input_vocabulary,
            output_vocabulary,
            optimizer_def,
            z_loss,
            label_smoothing,
            loss_normalizing_factor,
            loss_chunk_size,
        )

    @property
    def row_layout(self) -> RowLayout:
        """Inputs and targets are features of their own."""
        return RowLayout()

    def active_rows(self, batch: Batch) -> jax.Array:
        """Bool B: True for rows with an input token."""
        return jnp.any(batch["encoder_input_tokens"] > 0, axis=1)

    def encode_batch(self, params: PyTree, batch: Batch) -> Any:
        """The encoder's output BxLxD."""
        return self.module.apply(
            {"params": params}, batch["encoder_input_tokens"], enable_dropout=False, method="encode"
        )

    def init_cache(
        self, module: nn.Module, variables: PyTree, encoded: Any, batch: Batch, length: int
    ) -> Any:
        """Computes keys and values of cross-attention; see `BaseModel.init_cache`."""
        return module.apply(
            variables, encoded, batch["encoder_input_tokens"], length, method="init_cache"
        )

    def option_logits(self, params: PyTree, batch: Batch, options_BxOxT: jax.Array) -> jax.Array:
        """Encodes each input once; see `BaseModel.option_logits`."""
        B, num_options, T = options_BxOxT.shape
        targets_NxT = options_BxOxT.reshape(B * num_options, T)
        logits_NxTxV: Any = self.module.apply(
            {"params": params},
            jnp.repeat(self.encode_batch(params, batch), num_options, axis=0),
            jnp.repeat(batch["encoder_input_tokens"], num_options, axis=0),
            jnp.pad(targets_NxT, ((0, 0), (1, 0)))[:, :T],
            targets_NxT,
            enable_dropout=False,
            method="decode",
        )
        return logits_NxTxV

    def _boxed_params(self, rng: jax.Array, batch_shapes: Mapping[str, tuple[int, ...]]) -> PyTree:
        shapes = {**_SMALLEST_SHAPES, **batch_shapes}
        encoder_BxL = jnp.ones(shapes["encoder_input_tokens"], jnp.int32)
        decoder_BxT = jnp.ones(shapes["decoder_input_tokens"], jnp.int32)
        variables = self.module.init(
            rng, encoder_BxL, decoder_BxT, decoder_BxT, enable_dropout=False
        )
        return variables["params"]

    def _network_inputs(self, batch: Batch) -> tuple[tuple[Any, ...], dict[str, Any]]:
        inputs = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")
        packed = (
            "encoder_segment_ids",
            "decoder_segment_ids",
            "encoder_positions",
            "decoder_positions",
        )
        return tuple(batch[name] for name in inputs), {name: batch.get(name) for name in packed}
