"""`flan-jax infer`: what a checkpoint answers to prompts of a file, a pipe, a person or a task."""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import gin
import jax

from flan_jax import checkpoint as checkpoint_lib
from flan_jax import evaluate
from flan_jax.data import mixture
from flan_jax.data.config import DatasetConfig, derive_seed
from flan_jax.decode.config import DecodeConfig
from flan_jax.errors import ConfigError, DataError, suggest
from flan_jax.eval import codecs
from flan_jax.eval.examples import read_rows
from flan_jax.eval.predictions import Prediction, Predictor, with_end_token
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.base import BaseModel

STDIN = "-"
# Results are written after each so many batches.
_CHUNK_BATCHES = 8

_FROM_A_RUN = (
    "infer_script.infer.model = %MODEL",
    "infer_script.infer.dataset_cfg = @DATASET/utils.DatasetConfig()",
    "infer_script.infer.restore_checkpoint_cfg = @inferred/utils.RestoreCheckpointConfig()",
    "infer_script.infer.partitioner = @partitioning.PjitPartitioner()",
    "infer_script.infer.decode_config = @decoding.DecodeConfig()",
    "inferred/utils.RestoreCheckpointConfig.path = %CHECKPOINT_PATH",
)


@dataclasses.dataclass(frozen=True)
class Prompt:
    """One input: its text, and the other fields of its row, which are copied to the output."""

    text: str
    fields: Mapping[str, Any]


@gin.configurable(module="infer_script")
def infer(
    model: BaseModel = gin.REQUIRED,
    dataset_cfg: DatasetConfig = gin.REQUIRED,
    restore_checkpoint_cfg: checkpoint_lib.RestoreCheckpointConfig = gin.REQUIRED,
    partitioner: PjitPartitioner = gin.REQUIRED,
    decode_config: DecodeConfig | None = None,
    prompts: str | None = None,
    output: str | None = None,
    interactive: bool = False,
    use_dataset: bool = False,
    num_examples: int | None = None,
    batch_size: int | None = None,
    random_seed: int = 0,
    prompt_eos: bool | None = None,
) -> int:
    """Decodes inputs and writes one JSON object a line.

    A line has `inputs`, `prediction` and `score` (the best output), `predictions` and `scores` (all
    of them, best first; see `decode.DecodeOutput`), `truncated_tokens` (how many tokens of the
    input did not fit), and whatever else the row of a JSONL prompt file held. Over a dataset it has
    `targets` and `task` besides.

    A decoder alone continues the prompt. Trained on targets alone, without a length of 'inputs', it
    gets prompts of as many tokens as `max_decode_length` (by default a half) leaves of a row.

    Args:
      model: the network of the checkpoint; its vocabularies are used if it has any.
      dataset_cfg: lengths and batch size; its task gives the vocabularies of a model without.
      restore_checkpoint_cfg: which checkpoint.
      partitioner: the mesh.
      decode_config: how to decode; greedy by default. See `predictions.with_end_token`.
      prompts: a file, one prompt a line, or `.jsonl` with `inputs`; '-' is standard input. None
        reads standard input, and asks for prompts if that is a terminal.
      output: where the lines go; None is standard output.
      interactive: ask for prompts, one by one.
      use_dataset: take the inputs from the split that `dataset_cfg` names.
      num_examples: with `use_dataset`: rows of each task at most.
      batch_size: rows of a batch; None takes that of `dataset_cfg`.
      random_seed: of the draws, with method 'sample'.
      prompt_eos: whether prompts get an end token. None does as the task does, which training has
        shown the model. With the model's own vocabularies an encoder-decoder gets one, and a
        decoder alone gets one if its task is known here and has one.

    Returns:
      Number of inputs answered.

    Raises:
      ConfigError, DataError, CheckpointError: before anything is decoded.
    """
    config = decode_config or DecodeConfig()
    _check_sources(prompts, interactive, use_dataset)
    _check_hosts(prompts, use_dataset)
    asking = interactive or (prompts is None and not use_dataset and sys.stdin.isatty())
    given = [] if asking or use_dataset else read_prompts(prompts or STDIN)
    if output is not None:
        checkpoint_lib.check_writable(pathlib.Path(output).resolve().parent)
    rows = batch_size or dataset_cfg.batch_size
    codec = None if use_dataset else codecs.codec_of(model, dataset_cfg, prompt_eos, _say)
    lengths = dataset_cfg.task_feature_lengths
    if not use_dataset:
        lengths = codecs.prompt_lengths(model, dataset_cfg, config)
    params, _, _ = evaluate.restore(model, partitioner, restore_checkpoint_cfg, _say)
    predictor = Predictor(
        model,
        params,
        partitioner,
        1 if asking else min(rows, len(given) or rows),
        lengths,
        _say,
    )
    with _opened(output) as lines:
        if codec is None:
            return _over_dataset(predictor, dataset_cfg, config, num_examples, random_seed, lines)
        answerer = Answerer(predictor, codec, config, random_seed)
        if asking:
            return _ask(answerer, lines if output else None)
        step = _CHUNK_BATCHES * rows
        for start in range(0, len(given), step):
            for answer in answerer.answer(given[start : start + step]):
                _write(lines, answer)
    if answerer.num_truncated:
        _say(
            f"{answerer.num_truncated} of {len(given)} prompts were longer than "
            f"{lengths['inputs']} tokens and were cut; see truncated_tokens of their lines. "
            f"Longer ones need a larger TASK_FEATURE_LENGTHS[{dataset_cfg.token_features[0]!r}]."
        )
    return len(given)


# ----------------------------------------------------------------------------- prompts


def read_prompts(path: str) -> list[Prompt]:
    """Reads prompts: one a line (blank lines do not count), or JSON objects with `inputs`.

    Args:
      path: '-' is standard input, read as plain lines or, if its first line starts with '{', as
        JSON lines. A file is JSON lines if its name ends in '.jsonl'.

    Raises:
      DataError: the file is missing, empty, not UTF-8, or a line is not as expected.
    """
    name = "standard input" if path == STDIN else path
    text = sys.stdin.read() if path == STDIN else _file_text(path)
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise DataError(f"There is no prompt in {name}: it has no line with text.")
    first_is_object = lines[0][1].lstrip().startswith("{")
    if path.endswith(".jsonl") or (path == STDIN and first_is_object):
        return [_json_prompt(name, n, line) for n, line in lines]
    return [Prompt(line, {}) for _, line in lines]


def _file_text(path: str) -> str:
    file = pathlib.Path(path)
    if not file.is_file():
        beside = [each.name for each in file.parent.iterdir()] if file.parent.is_dir() else []
        what = "is a folder" if file.is_dir() else "does not exist"
        raise DataError(f"The prompt file {path} {what}.{suggest(file.name, beside)}")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"The prompt file {path} is not UTF-8 text: {error}.") from error


def _json_prompt(name: str, number: int, line: str) -> Prompt:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{name}:{number} is not JSON: {error}. Each line is one object."
        ) from error
    if not isinstance(row, dict) or not isinstance(row.get("inputs"), str):
        keys = list(row) if isinstance(row, dict) else []
        found = f"it has {', '.join(keys) or 'no fields'}" if isinstance(row, dict) else "it is not"
        raise DataError(
            f"{name}:{number}: expected an object with text under 'inputs'; {found}."
            f"{suggest('inputs', keys)}"
        )
    return Prompt(row["inputs"], {key: value for key, value in row.items() if key != "inputs"})


def _check_sources(prompts: str | None, interactive: bool, use_dataset: bool) -> None:
    asked = {"prompts": prompts is not None, "interactive": interactive, "use_dataset": use_dataset}
    chosen = [name for name, value in asked.items() if value]
    if len(chosen) > 1:
        raise ConfigError(
            f"infer_script.infer is given {' and '.join(chosen)}: the inputs come from one of them."
        )


def _check_hosts(prompts: str | None, use_dataset: bool) -> None:
    if jax.process_count() > 1 and prompts in (None, STDIN) and not use_dataset:
        raise ConfigError(
            f"flan-jax infer runs in {jax.process_count()} processes, which all need the same "
            "prompts, but standard input is one process's own: give a file that all of them see, "
            "--prompts=FILE."
        )


# ----------------------------------------------------------------------------- answers


class Answerer:
    """Answers prompts and counts those that did not fit.

    Attributes:
      num_truncated: prompts so far that were cut.
    """

    def __init__(self, predictor: Predictor, codec: codecs.Codec, config: DecodeConfig, seed: int):
        self._predictor, self._codec = predictor, codec
        self._config = with_end_token(config, codec.targets.eos_id)
        self._seed = seed
        self._count = 0
        self.num_truncated = 0

    def answer(self, prompts: Sequence[Prompt]) -> Iterator[dict[str, Any]]:
        """Yields one JSON-able object a prompt, in order."""
        length = self._predictor.lengths["inputs"]
        encoded = [self._codec.encode(prompt.text, length) for prompt in prompts]
        found = self._predictor.predict(
            [{"inputs": tokens} for tokens, _ in encoded],
            self._config,
            row_ids=range(self._count, self._count + len(prompts)),
            seed=self._seed,
        )
        self._count += len(prompts)
        for prompt, (_, cut), prediction in zip(prompts, encoded, found, strict=True):
            self.num_truncated += cut > 0
            yield {
                **prompt.fields,
                "inputs": prompt.text,
                **_outputs(self._codec, prediction),
                "truncated_tokens": cut,
            }


def _outputs(codec: codecs.Codec, prediction: Prediction) -> dict[str, Any]:
    texts = [codec.decode(tokens) for tokens in prediction.tokens]
    scores = [round(score, 6) for score in prediction.scores]
    return {
        "prediction": texts[0],
        "score": scores[0],
        "predictions": texts,
        "scores": scores,
    }


def _ask(answerer: Answerer, lines: TextIO | None) -> int:
    """Reads prompts from a person until the end of input; returns how many were answered."""
    _say("Type a prompt and press Enter; Ctrl-D ends.")
    count = 0
    while True:
        try:
            text = input("> ")
        except EOFError:
            _say("")
            return count
        if not text.strip():
            continue
        for answer in answerer.answer([Prompt(text, {})]):
            if answer["truncated_tokens"]:
                _say(f"(the last {answer['truncated_tokens']} tokens of the prompt did not fit)")
            for output, score in zip(answer["predictions"], answer["scores"], strict=True):
                print(f"{output}    [{score:.2f}]", flush=True)
            if lines is not None:
                _write(lines, answer)
        count += 1


def _over_dataset(
    predictor: Predictor,
    cfg: DatasetConfig,
    config: DecodeConfig,
    num_examples: int | None,
    seed: int,
    lines: TextIO,
) -> int:
    """Answers the rows of each task's split, task by task."""
    resolved = mixture.resolve(cfg)
    count = 0
    for share in resolved.shares:
        rows = read_rows(resolved, share, cfg, num_examples)
        features = rows.task.output_features
        codec = codecs.of_task(features, cfg)
        found = predictor.predict(
            rows.examples,
            with_end_token(config, codec.targets.eos_id),
            row_ids=[derive_seed(0, rows.name, index) for index in rows.indices],
            seed=seed,
            what=rows.name,
        )
        for i, prediction in enumerate(found):
            _write(
                lines,
                {
                    "inputs": rows.text(i, "inputs"),
                    "targets": rows.text(i, "targets"),
                    "task": rows.name,
                    **_outputs(codec, prediction),
                },
            )
        count += len(found)
        _say(f"{rows.name}: {len(found)} rows; {rows.truncated_inputs} inputs were cut")
    return count


# ------------------------------------------------------------------------------ output


@contextlib.contextmanager
def _opened(output: str | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    # All processes see the file, one writes it.
    with pathlib.Path(output if jax.process_index() == 0 else os.devnull).open(
        "w", encoding="utf-8"
    ) as file:
        yield file


def _write(lines: TextIO, answer: Mapping[str, Any]) -> None:
    if jax.process_index() == 0:
        lines.write(json.dumps(answer, ensure_ascii=False) + "\n")
        lines.flush()


def _say(text: str) -> None:
    """Standard output is for the answers."""
    if jax.process_index() == 0:
        print(text, file=sys.stderr, flush=True)


def command(model_dir: str | None, args: argparse.Namespace) -> None:
    """`flan-jax infer`."""
    evaluate.parse_for("infer_script.infer", _FROM_A_RUN, model_dir, args)
    given = {"prompts": args.prompts, "output": args.output, "interactive": args.interactive}
    infer(**{name: value for name, value in given.items() if value})
