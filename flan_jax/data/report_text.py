"""An inspection as text for a terminal."""

from typing import Any

from flan_jax.data import overlap
from flan_jax.data.config import TOKEN_FEATURES

# Selections up to this many tasks are printed with templates, lengths and samples.
_DETAILED = 20
# Of more evaluated tasks, those with nothing in common are counted, not listed.
_LISTED = 40
# What a newline, a tab and a return look like in one line of text.
# The other control characters would be orders to the terminal.
_CONTROLS = {code: chr(0x2400 + code) for code in range(32)} | {0x7F: "␡"}
_VISIBLE = (
    _CONTROLS
    | dict.fromkeys(range(0x80, 0xA0), "\N{REPLACEMENT CHARACTER}")
    | str.maketrans({"\n": "⏎", "\t": "⇥", "\r": "␍"})
)


def format_inspection(found: dict[str, Any]) -> str:
    """Returns `report.inspect_mixture`'s result as text for a terminal."""
    tasks = found["tasks"]
    width = max(len("task"), *(len(task["name"]) for task in tasks))
    how = "packed" if found["packed"] else "one example a row"
    lengths, fill = _rows(found)
    lines = [
        f"{found['name']}, split {found['split']}: {_tasks(len(tasks))}, {lengths} tokens, {how}, "
        f"{found['examples_per_row']:.2f} examples a row, fill {fill}",
        f"draws and epochs: {found['num_steps']} steps of {found['batch_size']} rows; "
        "lengths, cuts and losses: the first rows of each task",
        "",
        f"{'task':<{width}} {'rows':>9} {'rate':>9} {'kind':>8} {'share %':>8} {'draws':>9} "
        f"{'epochs':>7} {'in len':>7} {'out len':>7} {'in cut %':>8} {'out cut %':>9} "
        f"{'changed %':>9}",
    ]
    lines += [_row(task, width) for task in tasks]
    if found["unreadable"]:
        lines += ["", f"{found['unreadable']} of the {len(tasks)} tasks cannot be read:"]
        lines += [f"  {task['name']}: {task['error']}" for task in tasks if task["error"]]
    if len(tasks) <= _DETAILED:
        for task in tasks:
            lines += ["", *_details(task)]
    else:
        lines += [
            "",
            f"Templates, lengths and samples of {len(tasks)} tasks fill a page rather than a "
            "terminal: --output FILE.html",
        ]
    return "\n".join(lines)


def format_leaks(found: dict[str, Any]) -> str:
    """Returns `overlap.check_leaks`'s result as text for a terminal."""
    lines = [
        f"leaks: {found['train']} ({found['train_split']}) against {found['evaluation']}, runs of "
        f"{found['ngram']} words, at most {found['max_overlap']:.1%} of a task's examples"
    ]
    rows = sum(entry["rows"] for entry in found["scanned"])
    lines.append(f"training rows scanned: {rows:,} of {len(found['scanned'])} data sets")
    lines += [
        f"  {entry['name']}: {entry['rows']:,} of {entry['of']:,} only"
        for entry in found["scanned"]
        if entry["of"] is not None and entry["rows"] < entry["of"] and not entry["error"]
    ]
    names = [f"{entry['name']} ({entry['split']})" for entry in found["tasks"]]
    width = max(map(len, ("evaluated", *names)))
    head = f"{'rows':>8} {'too short':>9} {'in common':>9} {'share %':>8}  from"
    lines += ["", f"{'evaluated':<{width}} {head}"]
    quiet = len(names) > _LISTED
    for name, entry in zip(names, found["tasks"], strict=True):
        if quiet and not entry["error"] and not entry["overlapping"]:
            continue
        if entry["error"]:
            lines.append(f"{name:<{width}}  cannot be read")
            continue
        sources = ", ".join(f"{source} ({count})" for source, count in entry["from"].items())
        lines.append(
            f"{name:<{width}} {entry['rows']:>8} {entry['rows'] - entry['judged']:>9} "
            f"{entry['overlapping']:>9} {_or(_percent(entry['share']), '.2f'):>8}  {sources}"
        )
        lines += [f"    from {one['train']}: {one['words']}" for one in entry["examples"]]
    nothing = [entry for entry in found["tasks"] if not entry["error"] and not entry["overlapping"]]
    if quiet and nothing:
        rows, judged = (sum(entry[key] for entry in nothing) for key in ("rows", "judged"))
        lines.append(
            f"nothing in common: {len(nothing)} others, {rows:,} rows, {rows - judged:,} too short"
        )
    prompts = [name for name, entry in zip(names, found["tasks"], strict=True) if _by_prompt(entry)]
    if prompts:
        shown = ", ".join(prompts) if len(prompts) <= _LISTED else f"{len(prompts)} tasks"
        lines.append(f"compared by prompt and target, less what recurs in many rows: {shown}")
    if found["sources"]:
        lines += ["", "the same data on both sides:"]
        lines += [
            f"  {pairs[0]['evaluation']} ({pairs[0]['split']}: {pairs[0]['part']})"
            + (f" and {len(pairs) - 1} more" if len(pairs) > 1 else "")
            + f" and {pairs[0]['train']} ({pairs[0]['train_part']}) of {pairs[0]['source']}: "
            + pairs[0]["shared"]
            for pairs in overlap.by_source(found)
        ]
    lines.append("")
    if found["failures"]:
        lines += ["NOT CLEAN:", *(f"  {sentence}" for sentence in found["failures"])]
    else:
        lines.append("clean: nothing above the limit, and everything could be read")
    return "\n".join(lines)


def _by_prompt(entry: dict[str, Any]) -> bool:
    return not entry["error"] and not entry["fields"]


def _rows(found: dict[str, Any]) -> tuple[str, str]:
    """The lengths of an inspection's rows, '512/128', and how full these are.

    The lengths of one row for inputs and targets are joined by '+'.
    """
    lengths = [str(length) for length in found["lengths"].values()]
    if found["encoder_fill"] is None:
        return "+".join(lengths), f"{found['decoder_fill']:.1%}"
    fill = f"encoder {found['encoder_fill']:.1%}, decoder {found['decoder_fill']:.1%}"
    return "/".join(lengths), fill


def _row(task: dict[str, Any], width: int) -> str:
    start = f"{task['name']:<{width}} {_or(task['rows'], 'd', '?'):>9}"
    if task["error"]:
        return f"{start}  cannot be read, see below"
    return (
        f"{start} {_or(task['rate'], 'g'):>9} {task['rate_kind'] or '-':>8} "
        f"{_or(_percent(task['share']), '.2f'):>8} {_or(task['expected_draws'], '.0f'):>9} "
        f"{_or(task['expected_epochs'], '.2f'):>7} {task['mean_input_tokens']:>7.1f} "
        f"{task['mean_target_tokens']:>7.1f} {100 * task['truncated_inputs']:>8.1f} "
        f"{100 * task['truncated_targets']:>9.1f} {100 * task['changed_texts']:>9.1f}"
    )


def _details(task: dict[str, Any]) -> list[str]:
    lines = [f"--- {task['name']} ---"]
    if task["rate_text"]:
        lines.append(f"rate: {task['rate_text']}")
    lines += [f"{label}: {text}" for label, text in task["facts"].items() if text]
    if task["error"]:
        return lines
    lines += _sizes(task)
    if task["mean_exemplars"] is not None:
        lines.append(
            f"solved examples: {task['mean_exemplars']:.2f} of at most {task['shots']} on average"
        )
    if task["templates"]:
        read = task["examples_read"]
        lines.append(f"templates (rows of the {read} read):")
        for one in task["templates"]:
            mark = " inverted" if one["inverted"] else ""
            lines.append(
                f"  {one['number']} ({one['rows']}){mark} {visible(one['inputs'])}"
                f"  =>  {visible(one['targets'])}"
            )
    if task["lost_characters"]:
        lost = ", ".join(f"{key!r} x{n}" for key, n in task["lost_characters"].items())
        lines.append(f"characters the vocabulary loses: {lost}")
    lines += _samples(task["samples"])
    for sibling in task["siblings"]:
        lines.append(f"with {sibling['shots']} solved examples, {sibling['name']}:")
        lines += [sibling["error"]] if sibling["error"] else _samples(sibling["samples"])
    return lines


def _sizes(task: dict[str, Any]) -> list[str]:
    lines = [f"tokens before any cut, {task['examples_read']} rows, and % longer than:"]
    for feature, size in task["sizes"].items():
        over = "  ".join(f">{mark}: {100 * share:.1f}" for mark, share in size["over"].items())
        lines.append(
            f"  {feature:<8} mean {size['mean']:.0f}, median {size['median']:.0f}, 95% "
            f"{size['p95']:.0f}, most {size['max']}   {over}"
        )
    return lines


def _samples(samples: list[dict[str, Any]]) -> list[str]:
    lines = []
    for number, sample in enumerate(samples, 1):
        for feature in TOKEN_FEATURES:
            if feature in sample:
                lines.append(f"[{number}] {feature + ':':<8} {visible(sample[feature])}")
    return lines


def visible(text: str) -> str:
    """Returns the text in one line, with a sign for each newline, tab and return."""
    return text.translate(_VISIBLE)


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _or(value: float | None, form: str, otherwise: str = "-") -> str:
    return otherwise if value is None else format(value, form)
