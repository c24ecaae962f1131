"""The gin file of a model, made from what another library keeps beside its weights.

A Hugging Face directory has config.json; a T5X run has config.gin, whose names are ours. What comes
out has the form of the files in gin_configs/models, so a recipe can be read after it.
"""

import dataclasses
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from flan_jax import gin_source, gin_trust, gin_utils
from flan_jax.checkpoint_files import run_of
from flan_jax.errors import CheckpointError, ConfigError, DataError
from flan_jax.gin_utils import CONFIG_NAME
from flan_jax.interop import configs, detect
from flan_jax.interop.opened import Opened, open_found
from flan_jax.interop.stores import read_json
from flan_jax.models.config import T5Config
from flan_jax.models.decoder_config import DecoderConfig

SPIECE, TOKENIZER, SPIECE_OF_LLAMA = "spiece.model", "tokenizer.json", "tokenizer.model"

# Configuration of a network -> its model, its module and the arguments that are vocabularies.
_MODELS = {
    T5Config: (
        "models.EncoderDecoderModel",
        "network.Transformer",
        ("input_vocabulary", "output_vocabulary"),
    ),
    DecoderConfig: ("models.DecoderOnlyModel", "network.DecoderOnlyTransformer", ("vocabulary",)),
}
_HEAD = """\
{comment}

DROPOUT_RATE = {dropout!r}
Z_LOSS = {z_loss!r}
LABEL_SMOOTHING = 0.0
LOSS_NORMALIZING_FACTOR = 'NUM_REAL_TARGET_TOKENS'

OPTIMIZER = @adafactor.Adafactor()
adafactor.Adafactor:
  decay_rate = 0.8
  step_offset = 0
  logical_factor_rules = @adafactor.standard_logical_factor_rules()

MODEL = @{model}()
{model}:
  module = @{module}()
"""
_TAIL = """\
  optimizer_def = %OPTIMIZER
  z_loss = %Z_LOSS
  label_smoothing = %LABEL_SMOOTHING
  loss_normalizing_factor = %LOSS_NORMALIZING_FACTOR
"""


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """What a model file says.

    Attributes:
      config: of the network.
      vocabulary: gin lines that bind VOCABULARY; none where it is not known.
      options: further arguments of the model, such as `bos_id`.
      z_loss: coefficient of training.
    """

    config: Any
    vocabulary: tuple[str, ...] = ()
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    z_loss: float = 1e-4

    def text(self, comment: str) -> str:
        """Returns the file.

        Args:
          comment: its first line, without '#'.
        """
        model, module, vocabularies = _MODELS[type(self.config)]
        head = _HEAD.format(
            comment=f"# {comment}",
            dropout=self.config.dropout_rate,
            z_loss=self.z_loss,
            model=model,
            module=module,
        )
        lines = [f"  {name} = %VOCABULARY" for name in vocabularies if self.vocabulary]
        lines += [f"  {name} = {value!r}" for name, value in self.options.items()]
        text = head + "".join(f"{line}\n" for line in lines) + _TAIL
        if self.vocabulary:
            text += "\n" + "".join(f"{line}\n" for line in self.vocabulary)
        network = type(self.config).__name__
        text += f"\n{module}.config = @network.{network}()\n"
        return text + _fields(self.config)


def _fields(config: Any) -> str:
    """The block of a configuration, and those of configurations in it."""
    lines, inner = [f"network.{type(config).__name__}:"], ""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            lines.append(f"  {field.name} = @network.{type(value).__name__}()")
            inner += "\n" + _fields(value)
        elif field.name == "dropout_rate":
            lines.append("  dropout_rate = %DROPOUT_RATE")
        else:
            lines.append(f"  {field.name} = {value!r}")
    return "\n".join(lines) + "\n" + inner


def derive(opened: Opened, tokenizer_folder: epath.PathLike | None = None) -> ModelFile:
    """Derives the model of a checkpoint of another library.

    Args:
      opened: the checkpoint.
      tokenizer_folder: where the tokenizer's files will lie; None for beside the weights.

    Raises:
      CheckpointError, ConfigError: nothing tells the model, or it is none of ours.
    """
    if opened.family is not None and opened.config is not None:
        directory = opened.found.directory
        vocabulary = find_vocabulary(directory, tokenizer_folder or directory)
        return ModelFile(
            opened.family.config_from_hf(opened.config),
            () if vocabulary is None else _vocabulary(*vocabulary),
            opened.family.options_from_hf(opened.config),
            z_loss=0.0 if opened.family.causal else 1e-4,
        )
    return _from_t5x(opened)


def parse_model(
    checkpoint: str,
    gin_files: Sequence[str],
    gin_bindings: Sequence[str],
    search_paths: Sequence[str],
    tokenizer_folder: epath.PathLike | None = None,
    consulted: Sequence[str] = (),
    trust: gin_trust.Trust = gin_trust.DEFAULT,
) -> Any:
    """Reads the model of a checkpoint: of the gin files, else of its run, else derived.

    Args:
      checkpoint: path of any kind of checkpoint.
      gin_files: that define MODEL; none to find out.
      gin_bindings: overriding the files.
      search_paths: see `gin_utils.parse`.
      tokenizer_folder: see `derive`.
      consulted: see `gin_utils.parse`.
      trust: see `gin_utils.parse`.

    Returns:
      The model, such as an `EncoderDecoderModel`.

    Raises:
      ConfigError, CheckpointError: nothing tells the model, or the configuration has mistakes.
    """
    files = list(gin_files)
    with tempfile.TemporaryDirectory() as folder:
        if not files:
            found = detect.foreign(checkpoint)
            if found is not None:
                path = pathlib.Path(folder) / CONFIG_NAME
                made = derive(open_found(found), tokenizer_folder)
                path.write_text(made.text(f"The model of {checkpoint}."))
                files = [str(path)]
            else:
                files = [str(_of_a_run(checkpoint))]
        gin_utils.parse(
            files, gin_bindings, search_paths, entry="%MODEL", consulted=consulted, trust=trust
        )
    return gin_utils.macro_value("MODEL")


def _of_a_run(checkpoint: str) -> epath.Path:
    run = run_of(checkpoint)
    if not (run / CONFIG_NAME).exists():
        raise ConfigError(
            f"The model of {checkpoint} is not known: there is no {run / CONFIG_NAME}. Name a "
            "model file, e.g. --gin_file=models/t5_1_1_small.gin"
        )
    return run / CONFIG_NAME


# ------------------------------------------------------------------------ Hugging Face


def find_vocabulary(
    directory: epath.Path, folder: epath.PathLike
) -> tuple[str, dict[str, Any]] | None:
    """Returns the vocabulary of the tokenizer in a Hugging Face directory; None without one.

    Args:
      directory: the Hugging Face directory.
      folder: where the tokenizer's files will lie.

    Returns:
      The class in `data.vocabularies`, and its arguments.

    Raises:
      CheckpointError, DataError: a file is damaged.
    """
    settings = directory / "tokenizer_config.json"
    content = read_json(settings) if settings.exists() else {}
    if (directory / SPIECE).exists():
        values = {"sentencepiece_model_file": f"{folder}/{SPIECE}"}
        return "SentencePieceVocabulary", {**values, "extra_ids": sentinels(directory)}
    if (directory / TOKENIZER).exists():
        return "HuggingFaceVocabulary", {"tokenizer_json_file": f"{folder}/{TOKENIZER}"}
    if (directory / SPIECE_OF_LLAMA).exists():
        values = {"sentencepiece_model_file": f"{folder}/{SPIECE_OF_LLAMA}"}
        return "SentencePieceVocabulary", {**values, "extra_ids": 0}
    if str(content.get("tokenizer_class", "")).startswith("ByT5"):
        return "ByteVocabulary", {"extra_ids": content.get("extra_ids", 125)}
    return None


def sentinels(directory: epath.Path) -> int:
    """Returns how many sentinels a directory's tokenizer adds to its SentencePiece file."""
    import sentencepiece

    path = directory / SPIECE
    model: Any = sentencepiece.SentencePieceProcessor()
    try:
        model.LoadFromSerializedProto(path.read_bytes())
    except RuntimeError as error:
        raise DataError(f"{path} is not a whole SentencePiece model. Copy it again.") from error
    if model.piece_to_id("<extra_id_0>") != model.unk_id():
        return 0  # mT5's file has its sentinels inside.
    settings = directory / "tokenizer_config.json"
    content = read_json(settings) if settings.exists() else {}
    return int(content.get("extra_ids", 100))


def _vocabulary(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    lines = [f"seqio.{name}.{key} = {value!r}" for key, value in values.items()]
    return (f"VOCABULARY = @seqio.{name}()", *lines)


# --------------------------------------------------------------------------------- T5X

# T5X's configurations of a network, by the last part of the name, and defaults that are not ours.
_T5X_CONFIGS: dict[str, Any] = {"T5Config": T5Config, "TransformerConfig": DecoderConfig}
_T5X_DEFAULTS: dict[str, Any] = {"mlp_activations": ("relu",), "logits_via_embedding": False}
_T5X_VOCABULARIES = ("ByteVocabulary", "SentencePieceVocabulary")


def _from_t5x(opened: Opened) -> ModelFile:
    directory = opened.found.directory
    places = [directory / CONFIG_NAME, directory.parent / CONFIG_NAME]
    path = next((place for place in places if place.exists()), None)
    if path is None:
        raise CheckpointError(
            f"The model of {directory} is not known: there is no {CONFIG_NAME} in it or beside it. "
            "Name a model file, e.g. --gin_file=models/t5_1_1_small.gin"
        )
    bindings = gin_source.read_text(path.read_text(), str(path))
    macros = {b.selector: b.value for b in bindings if not b.arg}
    kind = next((s for b in bindings if (s := b.selector.split(".")[-1]) in _T5X_CONFIGS), None)
    if kind is None:
        raise CheckpointError(
            f"{path} binds neither network.T5Config nor network.TransformerConfig, so it does not "
            "say which model this is. Name a model file, e.g. --gin_file=models/t5_1_1_small.gin"
        )
    values = {
        b.arg: _value(b.value, macros, path)
        for b in bindings
        if b.arg and not b.scope and b.selector.split(".")[-1] == kind
    }
    config_class = _T5X_CONFIGS[kind]
    known = {field.name for field in dataclasses.fields(config_class)}
    if unknown := sorted(values.keys() - known):
        raise ConfigError(
            f"{path} sets {kind}.{unknown[0]}, which our {config_class.__name__} does not have. "
            "Give a model file: --gin_file=FILE."
        )
    values["remat_policy"] = values.get("remat_policy") or "none"
    config = configs.make(config_class, {**_T5X_DEFAULTS, **values})
    vocabulary = _t5x_vocabulary(bindings, macros)
    return ModelFile(config, vocabulary, z_loss=float(macros.get("Z_LOSS", 1e-4)))


def _value(value: Any, macros: Mapping[str, Any], path: epath.Path) -> Any:
    while isinstance(value, gin_source.Macro):
        if value.name not in macros:
            raise ConfigError(f"{path} does not define {value.name}. Give --gin_file=FILE instead.")
        value = macros[value.name]
    if isinstance(value, gin_source.Ref):
        raise ConfigError(
            f"{path} binds a field of the network to {value!r}, which is not known here. Give a "
            "model file: --gin_file=FILE."
        )
    return value


def _t5x_vocabulary(bindings: Any, macros: Mapping[str, Any]) -> tuple[str, ...]:
    """VOCABULARY and what it is bound to, where our vocabularies have the same name."""
    bound = macros.get("VOCABULARY")
    if not isinstance(bound, gin_source.Ref) or bound.scoped_name.split(".")[-1] not in (
        _T5X_VOCABULARIES
    ):
        return ()
    values = {
        b.arg: b.value
        for b in bindings
        if b.arg and b.selector.split(".")[-1] == bound.selector.split(".")[-1]
    }
    return _vocabulary(bound.selector.split(".")[-1], values)
