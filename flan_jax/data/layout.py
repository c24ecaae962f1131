"""How a model wants its rows: which features a batch has and what they hold.

A model says it (`model.row_layout`), the data follows.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from flan_jax.errors import ConfigError

Kind = Literal["encoder_decoder", "decoder_only"]
LossOn = Literal["targets", "all"]


@dataclasses.dataclass(frozen=True)
class RowLayout:
    """The layout of a model's rows; docs/architecture.md lists the features of both kinds.

    Attributes:
      kind: 'encoder_decoder': inputs in one array, targets in another. 'decoder_only': one array,
        in which the targets of an example follow its inputs.
      loss_on: of decoder-only rows: 'targets', or 'all' for the inputs too.
      bos_id: of decoder-only rows: the token each example is led in by.
      bidirectional_inputs: of decoder-only rows: whether the inputs see each other both ways
        (prefix LM); adds `decoder_causal_attention`.
    """

    kind: Kind = "encoder_decoder"
    loss_on: LossOn = "targets"
    bos_id: int = 0
    bidirectional_inputs: bool = False

    @property
    def decoder_only(self) -> bool:
        """Whether inputs and targets share one array."""
        return self.kind == "decoder_only"

    def check_lengths(self, lengths: Mapping[str, int], where: str) -> None:
        """Refuses lengths without 'inputs' for a model with an encoder.

        Args:
          lengths: tokens by feature name.
          where: whose lengths these are, for the message.

        Raises:
          ConfigError: there is nothing for the encoder to read.
        """
        if not self.decoder_only and "inputs" not in lengths:
            raise ConfigError(
                f"{where} has lengths for {', '.join(sorted(lengths))} only, and an "
                "encoder-decoder reads 'inputs'. Give their length, e.g. "
                "--gin.TASK_FEATURE_LENGTHS=\"{'inputs': 512, 'targets': 128}\", or train a "
                "decoder-only model (models.DecoderOnlyModel) on the targets alone."
            )


ENCODER_DECODER = RowLayout()
