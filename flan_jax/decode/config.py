"""How to decode: one frozen record, checked when it is made."""

import dataclasses
import math

import gin

from flan_jax import errors

METHODS = ("greedy", "sample", "beam")
PENALTY_TYPES = ("google", "hf")
EARLY_STOPPING = (False, True, "never")


@gin.configurable(module="decoding")
@dataclasses.dataclass(frozen=True)
class DecodeConfig:
    """Decoding method and its limits. Hashable, so it can be a static argument of `jax.jit`.

    Attributes:
      method: 'greedy' (most likely token each step), 'sample' (draw each token) or 'beam'.
      max_decode_length: tokens produced at most, the end token included. None takes the length of
        `decoder_target_tokens` in the batch.
      num_samples: independent draws per input (method 'sample'); the input is encoded once.
      temperature: logits are divided by it before drawing; above 0.
      top_k: draw among the k most likely tokens only; 0 turns it off. Applied after `temperature`.
      top_p: draw among the smallest set of tokens whose probability reaches `top_p`; 1.0 turns it
        off. Applied after `top_k`, on the renormalised rest.
      beam_size: hypotheses kept per input (method 'beam').
      length_penalty: the exponent alpha of the length penalty of a finished hypothesis of n tokens
        (end token included), whose score is log_prob / penalty(n). 0 turns it off; higher values
        favour longer outputs.
      length_penalty_type: 'google' is ((5 + n) / 6)**alpha (Wu et al. 2016, arXiv 1609.08144,
        equation 14; T5X's), 'hf' is n**alpha (Hugging Face's).
      early_stopping: when a row's beam search ends; the values are those of Hugging Face. False:
        all `beam_size` finished hypotheses score at least as high as the best open one would if it
        ended now. True: as soon as `beam_size` hypotheses have finished. 'never': when the best
        open one could not catch up even with the most favourable length, which is exact.
      eos_id: token that ends an output. For the default, evaluation and `flan-jax infer` put the
        end token of the vocabulary.
      num_return: outputs kept per input, best first; None keeps all that the method produces.
      prepare_weights: copy the decoder's weights into the layout that steps of one token read
        fastest, before the first step: layers out of their stack (of a network with `scan_layers`)
        and kernels transposed. Not for outputs of very few tokens, which do not repay the copies;
        the weights of the decoder lie in memory twice meanwhile. None does so on CPU for a decoder
        of at most 2 GiB.
      gather_weights: gather the decoder's weights over the mesh's fsdp axis once before the first
        step, instead of at each step. None does so where they then take at most 4 GiB of a device.

    Raises:
      errors.ConfigError: a field is out of range; the message names field, value and allowed range.
    """

    method: str = "greedy"
    max_decode_length: int | None = None
    num_samples: int = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    beam_size: int = 4
    length_penalty: float = 0.6
    length_penalty_type: str = "google"
    early_stopping: bool | str = False
    eos_id: int = 1
    num_return: int | None = None
    prepare_weights: bool | None = None
    gather_weights: bool | None = None

    def __post_init__(self):
        self._check_choice("method", METHODS)
        self._check_choice("length_penalty_type", PENALTY_TYPES)
        self._check_choice("early_stopping", EARLY_STOPPING)
        self._check_choice("prepare_weights", (None, False, True))
        self._check_choice("gather_weights", (None, False, True))
        if self.max_decode_length is not None:
            self._check_int("max_decode_length", 1, "or None for the length of the targets")
        self._check_int("num_samples", 1)
        self._check_int("beam_size", 1)
        self._check_int("top_k", 0, "where 0 turns it off")
        self._check_int("eos_id", 0)
        self._check_number("temperature", above=0.0, hint="; for no randomness set method='greedy'")
        self._check_number("top_p", above=0.0, at_most=1.0)
        self._check_number("length_penalty")
        if self.num_samples > 1 and self.method != "sample":
            raise errors.ConfigError(
                f"DecodeConfig.num_samples is {self.num_samples} with method={self.method!r}: "
                "several outputs per input need method='sample' (or method='beam' with num_return)."
            )
        if self.num_return is not None:
            self._check_int("num_return", 1, "or None for all")
            if self.num_return > self.num_hypotheses:
                source = {"sample": "num_samples", "beam": "beam_size"}.get(self.method, "greedy")
                raise errors.ConfigError(
                    f"DecodeConfig.num_return is {self.num_return}, but method={self.method!r} "
                    f"produces {self.num_hypotheses} per input ({source}): allowed are 1 to "
                    f"{self.num_hypotheses}."
                )

    @property
    def num_hypotheses(self) -> int:
        """Outputs the method produces per input, before `num_return` cuts them."""
        return {"greedy": 1, "sample": self.num_samples, "beam": self.beam_size}[self.method]

    @property
    def num_outputs(self) -> int:
        """Outputs per input in a `DecodeOutput`: its K."""
        return self.num_hypotheses if self.num_return is None else self.num_return

    def _check_choice(self, field: str, allowed: tuple):
        value = getattr(self, field)
        # 1 == True: the type has to agree too, so that early_stopping=1 is not taken for True.
        if not any(value == option and type(value) is type(option) for option in allowed):
            names = [option for option in allowed if isinstance(option, str)]
            hint = errors.suggest(value, names) if isinstance(value, str) else ""
            raise errors.ConfigError(
                f"DecodeConfig.{field} is {value!r}: allowed are "
                f"{', '.join(map(repr, allowed))}.{hint}"
            )

    def _check_int(self, field: str, least: int, note: str = ""):
        value = getattr(self, field)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise errors.ConfigError(
                f"DecodeConfig.{field} is {value!r}: allowed is a whole number of at least {least}"
                f"{', ' + note if note else ''}."
            )

    def _check_number(
        self, field: str, above: float = -math.inf, at_most: float = math.inf, hint: str = ""
    ):
        value = getattr(self, field)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not above < value <= at_most:
            limits = [f"above {above}"] if above > -math.inf else []
            limits += [f"at most {at_most}"] if at_most < math.inf else []
            raise errors.ConfigError(
                f"DecodeConfig.{field} is {value!r}: allowed is a finite number"
                f"{' ' + ' and '.join(limits) if limits else ''}{hint}."
            )
