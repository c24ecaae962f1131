"""What tasks hold, before anything is trained on them: sizes, rates, lengths, templates, samples.

The figures come from the first examples of each task, read as evaluation reads them.
"""

import collections
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flan_jax.data import description
from flan_jax.data.config import TOKEN_FEATURES, DatasetConfig, derive_seed
from flan_jax.data.eval_data import EvalTask, read_task
from flan_jax.data.layout import ENCODER_DECODER, RowLayout
from flan_jax.data.mixture import Sampler
from flan_jax.data.packing import Example, Packer
from flan_jax.data.selection import Member, Selection, select
from flan_jax.errors import FlanJaxError

_SIMULATED_ROWS = 300
# Lengths in tokens at which the share of longer texts is given, beside the configured ones.
LENGTHS = {"inputs": (256, 512, 1024, 2048), "targets": (64, 128, 256, 512)}
# Upper ends of a histogram's bins, in tokens; the last bin has none.
HISTOGRAM_ENDS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
DEFAULT_SHOTS = (2, 5)
# Selections up to this many tasks show few-shot siblings unasked.
_FEW_TASKS = 8

Progress = Callable[[str], None]


def inspect_mixture(
    cfg: DatasetConfig,
    num_samples: int = 3,
    *,
    num_steps: int = 1000,
    num_examples: int = 200,
    shots: Sequence[int] | None = None,
    layout: RowLayout = ENCODER_DECODER,
    progress: Progress = lambda text: None,
) -> dict[str, Any]:
    """Describes a task, a mixture, or the tasks that a pattern such as 'flan2021_rte_*' matches.

    Args:
      cfg: what would be trained on.
      num_samples: samples to render for each task.
      num_steps: steps for which expected draws are computed.
      num_examples: examples read of each task for lengths, truncation, templates and lost
        characters.
      shots: numbers of solved examples whose sibling tasks are rendered as well, where a task has
        them; None takes 2 and 5 for a selection of up to 8 tasks.
      layout: the rows of the model; says whether inputs and targets share one.
      progress: told what is done, now and then.

    Returns:
      JSON-able values: 'name', 'kind' ('task', 'mixture' or 'pattern'), 'mixtures' (those that a
      pattern matches), 'split', 'lengths', 'batch_size', 'packed', 'num_steps', 'unreadable'
      (number of tasks), 'examples_per_row', 'encoder_fill' and 'decoder_fill' (packing simulated
      on the examples read; without an encoder the former is None), and 'tasks', a list with

      - 'name', 'rows' (None when the source does not say), 'rate', 'rate_kind', 'rate_text', 'cap',
        'share', 'expected_draws', 'expected_epochs'; without a mixture those that mean nothing are
        None;
      - 'facts' (label -> text), 'error' (a message, or None);
      - and, without an error, 'examples_read', 'mean_input_tokens', 'mean_target_tokens',
        'truncated_inputs' and 'truncated_targets' (shares in [0, 1]), 'sizes' (for the features
        that have a length the untrimmed token counts: 'mean', 'median', 'p95', 'max', 'over'
        (length -> share of longer ones) and 'histogram' (counts by `HISTOGRAM_ENDS`)), 'templates'
        ('number', 'name', 'inverted', 'inputs', 'targets', 'rows' of the examples read), 'shots',
        'mean_exemplars' (None without any), 'changed_texts' (share of texts that do not survive
        encoding, blanks aside), 'lost_characters' (counts), 'samples', and 'siblings' ('shots',
        'name', 'samples', 'error').

    Raises:
      NotFoundError, ConfigError, DataError: see `selection.select`.
    """
    selection = select(cfg)
    if shots is None:
        shots = DEFAULT_SHOTS if len(selection.members) <= _FEW_TASKS else ()
    entries, sizes = [], {}
    for number, member in enumerate(selection.members, 1):
        progress(f"inspected {number - 1} of {len(selection.members)} tasks, now {member.name}")
        said = description.describe(member.name, cfg.modules)
        entry = {**_member_entry(selection, member), "facts": dict(said.facts)}
        entries.append(entry)
        if member.error is not None:
            continue
        try:
            task = read_task(member.task, number, cfg, num_examples)
        except FlanJaxError as error:
            if len(selection.members) == 1:
                raise
            entry["error"] = str(error)
            continue
        sizes[number - 1] = [
            (len(example["inputs"]), len(example["targets"])) for example in task.examples
        ]
        entry |= {
            **_lengths(task, cfg),
            **_templates(task),
            **_round_trip(task),
            "samples": [_sample(task, example) for example in task.examples[:num_samples]],
            "siblings": _siblings(cfg, said, member.name, shots, num_samples),
        }
    packing = _simulate_packing(cfg, layout, entries, sizes)
    draws = num_steps * cfg.batch_size * packing["examples_per_row"]
    for entry in entries:
        expected = None if entry["share"] is None else draws * entry["share"]
        entry["expected_draws"] = expected
        rows = entry["rows"]
        entry["expected_epochs"] = None if expected is None or not rows else expected / rows
    return {
        "name": selection.name,
        "kind": selection.kind,
        "mixtures": list(selection.mixtures),
        "split": cfg.split,
        "lengths": {name: cfg.task_feature_lengths[name] for name in cfg.token_features},
        "batch_size": cfg.batch_size,
        "packed": bool(cfg.pack),
        "num_steps": num_steps,
        "unreadable": sum(entry["error"] is not None for entry in entries),
        **packing,
        "tasks": entries,
    }


def _member_entry(selection: Selection, member: Member) -> dict[str, Any]:
    how = member.how
    return {
        "name": member.name,
        "error": None if member.error is None else str(member.error),
        "rows": member.rows,
        "rate": 1.0 if selection.kind == "task" else member.rate,
        "rate_kind": None if how is None else how.kind,
        "rate_text": None if how is None else how.text,
        "cap": None if how is None else how.cap,
        "share": selection.share(member),
    }


def _lengths(task: EvalTask, cfg: DatasetConfig) -> dict[str, Any]:
    count = len(task.examples)
    trimmed = {name: np.array([len(one[name]) for one in task.examples]) for name in LENGTHS}
    sizes = {}
    for column, name in enumerate(TOKEN_FEATURES):
        if name not in cfg.token_features:
            continue
        tokens = np.array([size[column] for size in task.sizes])
        marks = sorted({*LENGTHS[name], cfg.task_feature_lengths[name]})
        bins = np.searchsorted(HISTOGRAM_ENDS, tokens)
        sizes[name] = {
            "mean": float(tokens.mean()),
            "median": float(np.median(tokens)),
            "p95": float(np.percentile(tokens, 95)),
            "max": int(tokens.max()),
            "over": {str(mark): float((tokens > mark).mean()) for mark in marks},
            "histogram": np.bincount(bins, minlength=len(HISTOGRAM_ENDS) + 1).tolist(),
        }
    return {
        "examples_read": count,
        "mean_input_tokens": float(trimmed["inputs"].mean()),
        "mean_target_tokens": float(trimmed["targets"].mean()),
        "truncated_inputs": task.truncated_inputs / count,
        "truncated_targets": task.truncated_targets / count,
        "sizes": sizes,
    }


def _templates(task: EvalTask) -> dict[str, Any]:
    """The task's templates with the rows each got, and the solved examples that fitted."""
    carried = description.templates_of(task.task)
    if carried is None:
        return {"templates": [], "shots": 0, "mean_exemplars": None}
    # A preprocessor with one template numbers nothing.
    used = collections.Counter(int(one.get("template_id", 0)) for one in task.examples)
    exemplars = [int(one["num_exemplars"]) for one in task.examples if "num_exemplars" in one]
    return {
        "templates": [
            {
                "number": number,
                "name": template.name,
                "inverted": bool(template.inverts),
                "inputs": template.inputs,
                "targets": template.targets,
                "rows": used[number],
            }
            for number, template in enumerate(carried.templates)
        ],
        "shots": carried.shots,
        "mean_exemplars": float(np.mean(exemplars)) if exemplars else None,
    }


def _siblings(
    cfg: DatasetConfig,
    said: description.Description,
    name: str,
    shots: Sequence[int],
    num_samples: int,
) -> list[dict[str, Any]]:
    """The same task with solved examples in front: its first rows."""
    import seqio

    found = []
    for count in shots:
        sibling = said.siblings.get(count)
        if sibling is None or sibling == name or not num_samples:
            continue
        entry: dict[str, Any] = {"shots": count, "name": sibling, "samples": [], "error": None}
        found.append(entry)
        try:
            task = read_task(seqio.TaskRegistry.get(sibling), 0, cfg, num_samples)
            entry["samples"] = [_sample(task, example) for example in task.examples]
        except FlanJaxError as error:
            entry["error"] = str(error)
    return found


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else None


def _round_trip(task: EvalTask) -> dict[str, Any]:
    """Encodes and decodes each original text, and counts the characters that do not come back."""
    lost: collections.Counter[str] = collections.Counter()
    texts = changed = 0
    for feature in _features(task):
        vocabulary = task.task.output_features[feature].vocabulary
        for example in task.examples:
            text = _text(example.get(f"{feature}_pretokenized"))
            if text is None:
                continue
            back = vocabulary.decode(vocabulary.encode(text))
            texts += 1
            changed += "".join(text.split()) != "".join(back.split())
            missing = collections.Counter(text) - collections.Counter(back)
            del missing[" "]  # Blanks at the ends are dropped by design.
            lost += missing
    return {
        "changed_texts": changed / texts if texts else 0.0,
        "lost_characters": dict(lost.most_common(40)),
    }


def _features(task: EvalTask) -> list[str]:
    return [name for name in TOKEN_FEATURES if name in task.task.output_features]


def _sample(task: EvalTask, example: dict[str, Any]) -> dict[str, Any]:
    sample: dict[str, Any] = {}
    for feature in _features(task):
        ids = example[feature].tolist()
        decoded = task.task.output_features[feature].vocabulary.decode(ids)
        original = _text(example.get(f"{feature}_pretokenized"))
        # What the model sees, which a cut or a lost character makes differ from the original.
        sample[feature] = decoded
        sample[f"{feature}_original"] = decoded if original is None else original
        sample[f"{feature}_tokens"] = len(ids)
    return sample


def _simulate_packing(
    cfg: DatasetConfig,
    layout: RowLayout,
    entries: Sequence[dict[str, Any]],
    sizes: dict[int, list[tuple[int, int]]],
) -> dict[str, Any]:
    """Fills rows with examples of the sizes read, drawn by share; equally without shares."""
    drawable = [i for i in sizes if entries[i]["share"] != 0]
    shares = [entries[i]["share"] or 1.0 for i in drawable]
    if not drawable:
        encoder_fill = None if layout.decoder_only else 0.0
        return {"examples_per_row": 0.0, "encoder_fill": encoder_fill, "decoder_fill": 0.0}
    sampler = Sampler(shares, derive_seed(cfg.seed or 0, "inspect"))
    window = cfg.packing_window if cfg.pack else 1
    packer = Packer(cfg.input_length, cfg.target_length, window, layout)
    tokens = np.zeros(max(cfg.input_length, cfg.target_length), np.int32)
    drawn = [0] * len(drawable)
    rows = []
    for _ in range(_SIMULATED_ROWS):
        for _ in range(packer.missing):
            i = sampler.draw()
            of_task = sizes[drawable[i]]
            inputs, targets = of_task[drawn[i] % len(of_task)]
            drawn[i] += 1
            packer.add(Example(i, tokens[:inputs], tokens[:targets]))
        rows.append(packer.take_row())
    filled = np.array([(len(one.inputs), len(one.targets)) for row in rows for one in row])
    examples_per_row = len(filled) / len(rows)
    inputs, targets = (filled.sum(axis=0) / len(rows)).tolist()
    if layout.decoder_only:
        fill = None, (inputs + targets) / (cfg.input_length + cfg.target_length)
    else:
        fill = inputs / cfg.input_length, targets / cfg.target_length
    return {
        "examples_per_row": examples_per_row,
        "encoder_fill": fill[0],
        "decoder_fill": fill[1],
    }
