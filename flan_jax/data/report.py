"""What a mixture holds, before anything is trained on it: sizes, rates, lengths, samples, losses.

The figures come from the first examples of each task, read as evaluation reads them.
"""

import collections
from typing import Any

import numpy as np

from flan_jax.data.config import DatasetConfig, derive_seed
from flan_jax.data.eval_data import EvalTask, eval_examples
from flan_jax.data.mixture import ResolvedMixture, Sampler, resolve
from flan_jax.data.packing import Example, Packer

_SIMULATED_ROWS = 300


def inspect_mixture(
    cfg: DatasetConfig, num_samples: int = 3, *, num_steps: int = 1000, num_examples: int = 200
) -> dict[str, Any]:
    """Describes a task or mixture.

    Args:
      cfg: what would be trained on.
      num_samples: samples to render for each task.
      num_steps: steps for which expected draws are computed.
      num_examples: examples read of each task for lengths, truncation and lost characters.

    Returns:
      JSON-able values: 'name', 'split', 'lengths', 'batch_size', 'packed', 'num_steps',
      'examples_per_row', 'encoder_fill' and 'decoder_fill' (packing simulated on the examples
      read), and 'tasks', a list with 'name', 'rows' (None when the source does not say), 'rate',
      'share', 'expected_draws', 'expected_epochs', 'examples_read', 'mean_input_tokens',
      'mean_target_tokens', 'truncated_inputs' and 'truncated_targets' (shares in [0, 1]),
      'changed_texts' (share of texts that do not survive encoding, blanks aside),
      'lost_characters' (counts) and 'samples'.

    Raises:
      NotFoundError, ConfigError, DataError: see `mixture.resolve` and `eval_examples`.
    """
    mixture = resolve(cfg)
    tasks = eval_examples(cfg, max_examples=num_examples, mixture=mixture)
    packing = _simulate_packing(cfg, mixture, tasks)
    draws = num_steps * cfg.batch_size * packing["examples_per_row"]
    entries = []
    for share, task in zip(mixture.shares, tasks, strict=True):
        rows = share.task.num_input_examples(cfg.split)
        expected = draws * share.share
        entries.append(
            {
                "name": share.name,
                "rows": rows,
                "rate": share.rate,
                "share": share.share,
                "expected_draws": expected,
                "expected_epochs": expected / rows if rows else None,
                **_lengths(task),
                **_round_trip(task),
                "samples": [_sample(task, example) for example in task.examples[:num_samples]],
            }
        )
    return {
        "name": mixture.name,
        "split": cfg.split,
        "lengths": {"inputs": cfg.input_length, "targets": cfg.target_length},
        "batch_size": cfg.batch_size,
        "packed": bool(cfg.pack),
        "num_steps": num_steps,
        **packing,
        "tasks": entries,
    }


def format_inspection(found: dict[str, Any]) -> str:
    """Returns `inspect_mixture`'s result as text for a terminal."""
    header = (
        f"{'task':<40} {'rows':>9} {'rate':>9} {'share %':>8} {'draws':>9} {'epochs':>7} "
        f"{'in len':>7} {'out len':>7} {'in cut %':>8} {'out cut %':>9} {'changed %':>9}"
    )
    how = "packed" if found["packed"] else "one example a row"
    lines = [
        f"{found['name']}, split {found['split']}: {len(found['tasks'])} tasks, "
        f"{found['lengths']['inputs']}/{found['lengths']['targets']} tokens, {how}, "
        f"{found['examples_per_row']:.2f} examples a row, fill encoder "
        f"{found['encoder_fill']:.1%}, decoder {found['decoder_fill']:.1%}",
        f"draws and epochs: {found['num_steps']} steps of {found['batch_size']} rows",
        "",
        header,
    ]
    for task in found["tasks"]:
        rows = "?" if task["rows"] is None else f"{task['rows']}"
        epochs = "?" if task["expected_epochs"] is None else f"{task['expected_epochs']:.2f}"
        lines.append(
            f"{task['name']:<40} {rows:>9} {task['rate']:>9g} {100 * task['share']:>8.2f} "
            f"{task['expected_draws']:>9.0f} {epochs:>7} {task['mean_input_tokens']:>7.1f} "
            f"{task['mean_target_tokens']:>7.1f} {100 * task['truncated_inputs']:>8.1f} "
            f"{100 * task['truncated_targets']:>9.1f} {100 * task['changed_texts']:>9.1f}"
        )
    for task in found["tasks"]:
        lines += ["", f"--- {task['name']} ---"]
        if task["lost_characters"]:
            lost = ", ".join(f"{key!r} x{n}" for key, n in task["lost_characters"].items())
            lines.append(f"characters the vocabulary loses: {lost}")
        for number, sample in enumerate(task["samples"], 1):
            lines.append(f"[{number}] inputs:  {sample['inputs']}")
            lines.append(f"[{number}] targets: {sample['targets']}")
    return "\n".join(lines)


def _lengths(task: EvalTask) -> dict[str, Any]:
    count = len(task.examples)
    return {
        "examples_read": count,
        "mean_input_tokens": sum(len(example["inputs"]) for example in task.examples) / count,
        "mean_target_tokens": sum(len(example["targets"]) for example in task.examples) / count,
        "truncated_inputs": task.truncated_inputs / count,
        "truncated_targets": task.truncated_targets / count,
    }


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else None


def _round_trip(task: EvalTask) -> dict[str, Any]:
    """Encodes and decodes each original text, and counts the characters that do not come back."""
    lost: collections.Counter[str] = collections.Counter()
    texts = changed = 0
    for feature in ("inputs", "targets"):
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


def _sample(task: EvalTask, example: dict[str, Any]) -> dict[str, Any]:
    sample: dict[str, Any] = {}
    for feature in ("inputs", "targets"):
        ids = example[feature].tolist()
        decoded = task.task.output_features[feature].vocabulary.decode(ids)
        original = _text(example.get(f"{feature}_pretokenized"))
        # What the model sees, which a cut or a lost character makes differ from the original.
        sample[feature] = decoded
        sample[f"{feature}_original"] = decoded if original is None else original
        sample[f"{feature}_tokens"] = len(ids)
    return sample


def _simulate_packing(
    cfg: DatasetConfig, mixture: ResolvedMixture, tasks: list[EvalTask]
) -> dict[str, float]:
    """Fills rows with the examples read, drawn by rate."""
    sampler = Sampler(
        [share.share for share in mixture.shares], derive_seed(cfg.seed or 0, "inspect")
    )
    packer = Packer(cfg.input_length, cfg.target_length, cfg.packing_window if cfg.pack else 1)
    drawn = [0] * len(tasks)
    rows = []
    for _ in range(_SIMULATED_ROWS):
        for _ in range(packer.missing):
            i = sampler.draw()
            example = tasks[i].examples[drawn[i] % len(tasks[i].examples)]
            drawn[i] += 1
            packer.add(Example(i, example["inputs"], example["targets"]))
        rows.append(packer.take_row())
    sizes = np.array([(len(one.inputs), len(one.targets)) for row in rows for one in row])
    cells = np.array([cfg.input_length, cfg.target_length]) * len(rows)
    fill = sizes.sum(axis=0) / cells
    return {
        "examples_per_row": len(sizes) / len(rows),
        "encoder_fill": float(fill[0]),
        "decoder_fill": float(fill[1]),
    }
