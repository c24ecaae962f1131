"""One self-contained HTML page about a run: curves, tables per task, predictions, configuration.

Everything is read from the files in MODEL_DIR (docs/architecture.md), so a page can be made while
the run goes on, or on another machine.
"""

import html
import io
import itertools
import json
import pathlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flan_jax import goodput, page, redaction, telemetry
from flan_jax.errors import DataError

_PALETTE = ("#2f6fb7", "#e07b39", "#2a9d58", "#8e5ea2", "#d1495b", "#5b6675", "#b8912f", "#3aa6a6")

_KEYS = {"kind", "step", "time_s", "task"}
# Figures of an evaluation record that describe the evaluation rather than the model: no curves.
_NOT_A_SCORE = _KEYS | {
    "num_examples",
    "num_available",
    "num_tokens",
    "truncated_inputs",
    "truncated_targets",
    "unfinished",
    "decode_tokens_per_s",
}
_LOSSES = {"truncated_inputs", "truncated_targets", "unfinished"}


def write_report(
    model_dir: str | pathlib.Path,
    output: str | pathlib.Path | None = None,
    samples_per_task: int = 12,
) -> pathlib.Path:
    """Writes the page and returns its path.

    Args:
      model_dir: the run's directory.
      output: where to write; MODEL_DIR/report.html by default.
      samples_per_task: predictions shown per task, from its newest file.

    Raises:
      DataError: there is no run in `model_dir`.
    """
    folder = pathlib.Path(model_dir)
    records = telemetry.read_metrics(folder)
    if not records:
        raise DataError(
            f"No run to report on: {folder / 'metrics.jsonl'} is missing or empty. "
            "Give the MODEL_DIR of a run of `flan-jax train`."
        )
    of_kind: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        of_kind[record["kind"]].append(record)
    title = f"Run {folder.resolve().name}"
    body = [
        page.heading(title, str(folder)),
        _cards(of_kind),
        _time_spent(folder),
        _curves(of_kind),
        _summary(folder / "infer_eval"),
        _group_losses(of_kind["train_eval"], folder / "data_stats.json"),
        _task_table("Scores per task", of_kind["infer_eval"]),
        _task_table("Loss per task on held-out rows", of_kind["train_eval"]),
        _data_table(folder / "data_stats.json"),
        _predictions(folder / "infer_eval", samples_per_task),
        _config(folder / "config.gin"),
    ]
    path = pathlib.Path(output) if output else folder / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page.document(title, body), encoding="utf-8")
    return path


def line_plot(
    title: str,
    x_label: str,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    log_y: bool = False,
    marker: bool = False,
    note: str = "",
) -> str:
    """Draws lines with matplotlib and returns an inline `<svg>` element.

    Args:
      title: what is on the y axis, with its unit.
      x_label: what is on the x axis.
      series: name -> (x values, y values).
      log_y: logarithmic y axis.
      marker: mark each point, for few points.
      note: a sentence under the title.
    """
    axes, draw = _axes(title if not note else f"{title}\n{note}")
    for index, (name, (x, y)) in enumerate(series.items()):
        axes.plot(
            x,
            y,
            label=name,
            color=_PALETTE[index % len(_PALETTE)],
            linewidth=1.6,
            marker="o" if marker or len(x) < 3 else None,
            markersize=4,
        )
    axes.set_xlabel(x_label, fontsize=9)
    axes.grid(color="#e6eaf0", linewidth=0.8)
    if log_y:
        axes.set_yscale("log")
    if 1 < len(series) <= len(_PALETTE):
        axes.legend(fontsize=8, frameon=False)
    return draw()


def bar_plot(title: str, groups: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """Draws bars side by side with matplotlib and returns an inline `<svg>` element.

    Args:
      title: what is on the y axis, with its unit.
      groups: names under the groups of bars.
      series: name -> one value per group; the bars of a series have one colour.
    """
    axes, draw = _axes(title)
    width = 0.8 / len(series)
    for index, (name, values) in enumerate(series.items()):
        left = [group - 0.4 + (index + 0.5) * width for group in range(len(groups))]
        color = _PALETTE[index % len(_PALETTE)]
        bars = axes.bar(left, values, width * 0.92, label=name, color=color)
        axes.bar_label(bars, fmt="%.0f", fontsize=7)
    axes.set_xticks(range(len(groups)), groups)
    axes.grid(axis="y", color="#e6eaf0", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(y=0.2)
    axes.legend(fontsize=8, frameon=False, ncols=len(series), loc="upper right")
    return draw()


def _axes(title: str) -> tuple[Any, Callable[[], str]]:
    """Empty axes, and the function that draws them as an `<svg>` element."""
    import matplotlib.backends.backend_svg
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(6.2, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10, loc="left")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)

    def draw() -> str:
        buffer = io.StringIO()
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "flan-jax"}):
            matplotlib.backends.backend_svg.FigureCanvasSVG(figure).print_svg(
                buffer, metadata={"Date": None}
            )
        text = buffer.getvalue()
        return text[text.index("<svg") :]

    return axes, draw


def _numbers(records: list[dict[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """The (step, value) columns of the records that hold `key` as a finite number."""
    points = [
        (record["step"], record[key])
        for record in records
        if isinstance(record.get(key), (int, float)) and not isinstance(record[key], bool)
    ]
    return [step for step, _ in points], [value for _, value in points]


def _cards(of_kind: dict[str, list[dict[str, Any]]]) -> str:
    train = of_kind["train"]
    cards = []
    if train:
        last = train[-1]
        speeds = sorted(_numbers(train, "tokens_per_s")[1])
        loss = "".join(f"{x:.4f}" for x in _numbers([last], "loss")[1]) or "not finite"
        over = f" of {last['loss_steps']} steps" if last.get("loss_steps", 1) > 1 else ""
        cards = [
            ("steps", f"{last['step']}"),
            (f"training loss{over}, nats per token", loss),
            ("training time", telemetry.format_duration(last["time_s"])),
            ("real tokens per second, median", telemetry.format_count(speeds[len(speeds) // 2])),
        ]
    for event in of_kind["event"]:
        if event.get("name") == "compiled":
            cards.append(("compile time", telemetry.format_duration(event["compile_s"])))
            break
    skipped = [event["windows"] for event in of_kind["event"] if event.get("name") == "skipped"]
    if skipped:
        windows = ", ".join(f"{first} to {last}" for first, last in skipped[-1])
        cards.append(("steps left out", windows))
    return page.cards(cards)


def _time_spent(folder: pathlib.Path) -> str:
    """Where the time of all attempts went."""
    seconds = goodput.read_totals(folder)
    if not seconds:
        return ""
    title = f"<h2>Where the time went: {100 * goodput.share(seconds):.1f}% into steps kept</h2>"
    return title + page.table(["", "time", "share"], goodput.rows(seconds), numeric=(1, 2))


def _curves(of_kind: dict[str, list[dict[str, Any]]]) -> str:
    train = of_kind["train"]
    plots = []
    loss = {"training": _numbers(train, "loss")}
    by_task = _group(of_kind["train_eval"])
    if len(by_task) <= 6:
        loss |= {f"{task}, held out": _numbers(rows, "loss") for task, rows in by_task.items()}
    loss = {name: points for name, points in loss.items() if points[0]}
    if loss:
        plots.append(line_plot("loss, nats per target token", "step", loss))
    by_group = {
        key.removeprefix("group_loss/"): _numbers(train, key)
        for key in sorted({key for row in train for key in row if key.startswith("group_loss/")})
    }
    if by_group:
        plots.append(line_plot("training loss by collection, nats per token", "step", by_group))
    for metric, rows in _scores(of_kind["infer_eval"]).items():
        series = {task: _numbers(entries, metric) for task, entries in _group(rows).items()}
        if 0 < len(series) <= len(_PALETTE) and any(len(x) > 1 for x, _ in series.values()):
            plots.append(line_plot(metric, "step", series, marker=True))
    for key, label in (
        ("learning_rate", "learning rate"),
        ("grad_norm", "gradient norm"),
        ("tokens_per_s", "real tokens per second"),
    ):
        points = _numbers(train, key)
        if points[0]:
            plots.append(line_plot(label, "step", {label: points}))
    if not plots:
        return ""
    return '<h2>Curves</h2><div class="plots">' + "\n".join(plots) + "</div>"


def _group(records: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        grouped[record.get("task", "")].append(record)
    return grouped


def _scores(records: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Metric name -> the records that hold it as a number."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        for key, value in record.items():
            if key not in _NOT_A_SCORE and isinstance(value, (int, float)):
                found[key].append(record)
    return found


def _group_losses(records: list[dict[str, Any]], data_stats: pathlib.Path) -> str:
    """Held-out loss of each collection: over all target tokens of its tasks."""
    if not data_stats.exists():
        return ""
    tasks = json.loads(data_stats.read_text(encoding="utf-8")).get("tasks", {})
    groups = {name: entry["group"] for name, entry in tasks.items() if "group" in entry}
    sums: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    for record in records:
        group = groups.get(record.get("task", ""))
        if group and isinstance(record.get("loss"), (int, float)):
            total = sums[group][record["step"]]
            total[0] += record["loss"] * record["num_tokens"]
            total[1] += record["num_tokens"]
    if not sums:
        return ""
    series = {
        group: (list(by_step), [loss / tokens for loss, tokens in by_step.values()])
        for group, by_step in sorted(sums.items())
    }
    counts = Counter(groups.values())
    rows = [
        [group, str(counts[group]), f"{values[0]:.4g} (step {steps[0]})", f"{values[-1]:.4g}"]
        for group, (steps, values) in series.items()
    ]
    plot = line_plot("held-out loss, nats per target token", "step", series, marker=True)
    return f'<h2>Loss per collection on held-out rows</h2><div class="plots">{plot}</div>' + (
        page.table(["collection", "tasks", "first", "last"], rows, numeric=(1, 2, 3))
    )


def _task_table(title: str, records: list[dict[str, Any]]) -> str:
    """First and last value of each score, task by task, and how many rows or tokens were graded."""
    if not records:
        return ""
    rows = []
    for task, entries in sorted(_group(records).items()):
        last = entries[-1]
        graded = last.get("num_examples", last.get("num_tokens", ""))
        for metric in sorted({key for entry in entries for key in entry} - _KEYS):
            steps, values = _numbers(entries, metric)
            # Of the figures that are no scores, only those that tell of a loss are worth a line.
            if not values or (metric in _NOT_A_SCORE and not (metric in _LOSSES and values[-1])):
                continue
            first = f"{values[0]:.4g} (step {steps[0]})" if len(values) > 1 else ""
            rows.append([task, metric, str(graded), first, f"{values[-1]:.4g}", str(steps[-1])])
    return f"<h2>{html.escape(title)}</h2>" + page.table(
        ["task", "metric", "graded", "first", "last", "at step"], rows, numeric=(2, 3, 4, 5)
    )


def _summary(folder: pathlib.Path) -> str:
    """The table over several tasks that `flan-jax eval` left with its newest results."""
    newest: tuple[int, dict[str, Any]] | None = None
    for path in folder.glob("results-*.json") if folder.is_dir() else ():
        record = json.loads(path.read_text(encoding="utf-8"))
        if "summary" in record and (newest is None or record["step"] > newest[0]):
            newest = record["step"], record["summary"]
    if newest is None:
        return ""
    step, table = newest
    numeric = [
        i
        for i in range(len(table["header"]))
        if all(re.fullmatch(r"[-+\d.]*", row[i]) for row in table["rows"])
    ]
    notes = "".join(f'<p class="sub">{html.escape(note)}</p>' for note in table.get("notes", ()))
    title = html.escape(f"{table['title']}, step {step}")
    return f"<h2>{title}</h2>" + page.table(table["header"], table["rows"], numeric) + notes


def _data_table(path: pathlib.Path) -> str:
    if not path.exists():
        return ""
    stats = json.loads(path.read_text(encoding="utf-8"))
    tasks = stats.get("tasks", {})
    if not tasks:
        return ""
    columns = list(dict.fromkeys(key for values in tasks.values() for key in values))
    rows = [
        [name, *(_show(values.get(column)) for column in columns)]
        for name, values in sorted(tasks.items())
    ]
    totals = "".join(
        f"<li>{html.escape(key.replace('_', ' '))}: {html.escape(_show(value))}</li>"
        for key, value in stats.items()
        if not isinstance(value, (dict, list))
    )
    header = ["task", *(column.replace("_", " ") for column in columns)]
    return f"<h2>Training data seen</h2><ul>{totals}</ul>" + page.table(
        header, rows, numeric=range(1, len(header))
    )


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _predictions(folder: pathlib.Path, most: int) -> str:
    newest: dict[str, tuple[int, pathlib.Path]] = {}
    for path in folder.glob("*.jsonl") if folder.is_dir() else ():
        match = re.fullmatch(r"(.+)-(\d+)", path.stem)
        if match:
            task, step = match[1], int(match[2])
            if task not in newest or step > newest[task][0]:
                newest[task] = (step, path)
    parts = []
    for index, (task, (step, path)) in enumerate(sorted(newest.items())):
        rows = []
        with path.open(encoding="utf-8") as lines:
            for line in itertools.islice(lines, most):
                row = json.loads(line)
                texts = [_text(row.get(key)) for key in ("inputs", "targets", "prediction")]
                score = row.get("score")
                shown = f"{score:.3f}" if isinstance(score, (int, float)) else _text(score)
                state = "ok" if texts[1].strip() == texts[2].strip() else "no"
                cells = "".join(f'<td class="text">{html.escape(text)}</td>' for text in texts)
                rows.append(
                    f'<tr class="{state}">{cells}<td class="n">{html.escape(shown)}</td></tr>'
                )
        opened = " open" if index < 3 else ""
        parts.append(
            f"<details{opened}><summary>{html.escape(task)}, step {step}</summary>"
            "<table><tr><th>inputs</th><th>targets</th><th>prediction</th>"
            '<th class="n">log-likelihood</th></tr>' + "".join(rows) + "</table></details>"
        )
    if not parts:
        return ""
    return "<h2>Sample predictions</h2>" + "\n".join(parts)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _config(path: pathlib.Path) -> str:
    if not path.exists():
        return ""
    text = html.escape(redaction.redact(path.read_text(encoding="utf-8")))
    return (
        f"<h2>Configuration</h2><details><summary>config.gin</summary><pre>{text}</pre></details>"
    )
