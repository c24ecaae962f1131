"""An inspection as one HTML page to browse: a table of tasks to search and sort, each unfolding.

The page loads nothing, and holds what `report.inspect_mixture` found; without JavaScript every task
is unfolded.
"""

import html
from collections.abc import Iterable, Sequence
from typing import Any

from flan_jax import page
from flan_jax.data.config import TOKEN_FEATURES
from flan_jax.data.report import HISTOGRAM_ENDS
from flan_jax.data.report_page_style import CSS, SCRIPT

# Heading, whether it is a number.
_COLUMNS = (
    ("task", False),
    ("rows", True),
    ("rate", True),
    ("kind", False),
    ("share %", True),
    ("draws", True),
    ("epochs", True),
    ("input tokens", True),
    ("cut %", True),
    ("target tokens", True),
    ("cut %", True),
    ("templates", True),
    ("losses", True),
)
# Value of the filter, its text, and which tasks it shows.
_MARKS = (
    ("cut-inputs", "inputs cut", lambda task: task["truncated_inputs"] > 0),
    ("cut-targets", "targets cut", lambda task: task["truncated_targets"] > 0),
    ("losses", "characters lost", lambda task: bool(task["lost_characters"])),
    ("epochs", "more than 5 epochs", lambda task: (task["expected_epochs"] or 0) > 5),
    ("unused", "a template without a row", lambda t: any(not x["rows"] for x in t["templates"])),
)
_SIGNS = {"\n": "⏎\n", "\t": "⇥\t", "\r": "␍"}


def inspection_page(found: dict[str, Any]) -> str:
    """Returns the page of a result of `report.inspect_mixture`, with its 'leaks' if there are."""
    tasks = found["tasks"]
    title = f"{found['name']}, split {found['split']}"
    lengths = found["lengths"]
    below = (
        f"{found['kind']}; draws and epochs of {found['num_steps']:,} steps of "
        f"{found['batch_size']} rows; lengths, cuts, templates and losses of the first rows of "
        "each task"
    )
    if found["mixtures"]:
        below += f"; mixtures matched: {', '.join(found['mixtures'])}"
    cards = [
        ("tasks", f"{len(tasks)}"),
        ("rows", f"{sum(task['rows'] or 0 for task in tasks):,}"),
        (f"tokens of {' / '.join(lengths)}", " / ".join(map(str, lengths.values()))),
        ("examples a row" + (", packed" if found["packed"] else ""), _fixed(found, 2)),
    ]
    if found["encoder_fill"] is None:
        cards.append(("rows filled", f"{found['decoder_fill']:.1%}"))
    else:
        cards.append(("encoder filled", f"{found['encoder_fill']:.1%}"))
        cards.append(("decoder filled", f"{found['decoder_fill']:.1%}"))
    if found["unreadable"]:
        cards.insert(1, ("cannot be read", f"{found['unreadable']}"))
    body = [
        page.heading(title, below),
        page.cards(cards),
        _leaks(found.get("leaks")),
        "<h2>Tasks</h2>",
        _controls(found["unreadable"]),
        _table(tasks, lengths),
    ]
    return page.document(title, body, css=CSS, script=SCRIPT)


def _fixed(found: dict[str, Any], digits: int) -> str:
    return f"{found['examples_per_row']:.{digits}f}"


# --------------------------------------------------------------------------- the table


def _controls(unreadable: int) -> str:
    marks = [(value, text) for value, text, _ in _MARKS]
    if unreadable:
        marks.append(("unreadable", "cannot be read"))
    options = "".join(f'<option value="{value}">{text}</option>' for value, text in marks)
    return (
        "<noscript><style>tr.more[hidden] { display: table-row; }</style></noscript>"
        '<div class="controls"><input id="search" type="search" placeholder="words of a name, '
        'cluster, data set, licence, template ..." aria-label="search">'
        f'<select id="only" aria-label="show"><option value="">all tasks</option>{options}</select>'
        '<button id="fold" type="button">unfold or fold all shown</button>'
        '<span id="count"></span></div>'
    )


def _table(tasks: Sequence[dict[str, Any]], lengths: dict[str, int]) -> str:
    head = "".join(
        f'<th data-column="{i}"{_numeric(number)} scope="col">{name}</th>'
        for i, (name, number) in enumerate(_COLUMNS)
    )
    widest = max([task["share"] or 0 for task in tasks])
    body = "\n".join(_task(number, task, lengths, widest) for number, task in enumerate(tasks))
    return f'<table id="tasks"><thead><tr>{head}</tr></thead>\n{body}</table>'


def _task(number: int, task: dict[str, Any], lengths: dict[str, int], widest: float) -> str:
    marks = ["unreadable"] if task["error"] else [mark for mark, _, fits in _MARKS if fits(task)]
    words = [task["name"], *task["facts"].values(), *(t["inputs"] for t in _templates_of(task))]
    find = html.escape(" ".join(words).lower())
    name = html.escape(task["name"])
    cells = "".join(
        f'<td data-value="{html.escape(str(value))}"{_numeric(is_number)}>{shown}</td>'
        for (value, shown), (_, is_number) in zip(
            _cells(task, lengths, widest), _COLUMNS, strict=True
        )
    )
    bad = " bad" if task["error"] else ""
    return (
        f'<tbody id="{name}" data-find="{find}" data-marks="{" ".join(marks)}">'
        f'<tr class="row{bad}">{cells}</tr>'
        f'<tr class="more" hidden><td colspan="{len(_COLUMNS)}">{_details(task, lengths)}</td></tr>'
        "</tbody>"
    )


def _cells(
    task: dict[str, Any], lengths: dict[str, int], widest: float
) -> Iterable[tuple[Any, str]]:
    """Returns (value to sort by, HTML) of each column."""
    name = html.escape(task["name"])
    yield task["name"], f'<button type="button" aria-expanded="false">{name}</button>'
    yield _number(task["rows"], ",d", "?")
    yield _number(task["rate"], "g")
    yield task["rate_kind"] or "", html.escape(task["rate_kind"] or "–")
    share = task["share"]
    bar = "" if share is None else _bar(share / (widest or 1))
    value, shown = _number(None if share is None else 100 * share, ".2f")
    yield value, f"{bar}{shown}"
    yield _number(task["expected_draws"], ",.0f")
    yield _number(task["expected_epochs"], ".2f")
    if task["error"]:
        yield "", '<span class="bad-text">cannot be read</span>'
        yield from [("", "–")] * 5
        return
    for feature, cut in (("inputs", "truncated_inputs"), ("targets", "truncated_targets")):
        if feature not in task["sizes"]:
            yield from [("", "–")] * 2
            continue
        size = task["sizes"][feature]
        histogram = _histogram(size["histogram"], lengths[feature])
        yield size["median"], f"{histogram} {size['median']:.0f}"
        yield _number(100 * task[cut], ".1f")
    yield len(task["templates"]), f"{len(task['templates']) or '–'}"
    lost = sum(task["lost_characters"].values())
    yield lost, html.escape(f"{lost}" if lost else "–")


def _number(value: float | None, form: str, otherwise: str = "–") -> tuple[Any, str]:
    return ("", otherwise) if value is None else (value, format(value, form))


def _numeric(is_number: bool) -> str:
    return ' class="n"' if is_number else ""


# ------------------------------------------------------------------------- one task


def _templates_of(task: dict[str, Any]) -> list[dict[str, Any]]:
    return task.get("templates", [])


def _details(task: dict[str, Any], lengths: dict[str, int]) -> str:
    facts = dict(task["facts"])
    if task["rate_text"]:
        facts = {"rate": task["rate_text"], **facts}
    terms = "".join(
        f"<dt>{html.escape(label)}</dt><dd>{html.escape(text)}</dd>"
        for label, text in facts.items()
    )
    parts = [f"<dl>{terms}</dl>" if terms else ""]
    if task["error"]:
        return parts[0] + f'<p class="bad-text text">{html.escape(task["error"])}</p>'
    parts.append(_sizes(task, lengths))
    if task["templates"]:
        parts.append(_templates(task))
    if task["lost_characters"]:
        lost = ", ".join(f"{key!r} ×{count}" for key, count in task["lost_characters"].items())
        parts.append(
            "<h3>Characters the vocabulary loses</h3>"
            f"<p>{html.escape(lost)}; {task['changed_texts']:.1%} of the texts do not survive "
            "encoding, blanks aside.</p>"
        )
    parts.append(_samples("Samples", task["samples"]))
    for sibling in task["siblings"]:
        shots = sibling["shots"]
        heading = f"With {shots} solved example{'s' * (shots != 1)}: {sibling['name']}"
        if sibling["error"]:
            parts.append(f"<h3>{html.escape(heading)}</h3><p>{html.escape(sibling['error'])}</p>")
        else:
            parts.append(_samples(heading, sibling["samples"]))
    return "".join(parts)


def _sizes(task: dict[str, Any], lengths: dict[str, int]) -> str:
    charts = []
    for feature, size in task["sizes"].items():
        over = "".join(
            f'<tr><td class="n">{html.escape(mark)}</td><td>{_bar(share, cut=True)}'
            f"{share:.1%}{' (configured)' if int(mark) == lengths[feature] else ''}</td></tr>"
            for mark, share in size["over"].items()
        )
        ends = "".join(f"<span>{end}</span>" for end in (*HISTOGRAM_ENDS, "more"))
        charts.append(
            f"<div><div><h3>{feature}: tokens before any cut</h3>"
            f"<p>mean {size['mean']:.0f}, median {size['median']:.0f}, 95% within "
            f"{size['p95']:.0f}, most {size['max']}</p>"
            f"{_histogram(size['histogram'], lengths[feature], 'big')}"
            f'<div class="ends">{ends}</div></div>'
            f'<div><table><tr><th class="n">longer than</th><th>share of rows</th></tr>{over}'
            "</table></div></div>"
        )
    exemplars = ""
    if task["mean_exemplars"] is not None:
        exemplars = (
            f"<p>{task['mean_exemplars']:.2f} of at most {task['shots']} solved examples fit on "
            "average.</p>"
        )
    return f'<div class="pair">{"".join(charts)}</div>{exemplars}'


def _templates(task: dict[str, Any]) -> str:
    most = max(one["rows"] for one in task["templates"]) or 1
    rows = "".join(
        f'<tr><td class="n">{one["number"]}</td><td>{"inverted" if one["inverted"] else "direct"}'
        f'</td><td class="text">{_pattern(one["inputs"])}</td>'
        f'<td class="text">{_pattern(one["targets"])}</td>'
        f"<td>{_bar(one['rows'] / most)}{one['rows']}</td></tr>"
        for one in task["templates"]
    )
    return (
        f"<h3>{len(task['templates'])} templates, and how many of {task['examples_read']} rows got "
        'each</h3><table class="templates"><tr><th>no.</th><th>direction</th><th>inputs</th>'
        "<th>targets</th>"
        f"<th>rows</th></tr>{rows}</table>"
    )


def _pattern(text: str) -> str:
    """A pattern with its fields and line ends set off."""
    parts = _signs(text).replace("{", '<span class="field">{').replace("}", "}</span>")
    # Doubled braces are literal ones, not fields.
    opened, closed = '<span class="field">{', "}</span>"
    return parts.replace(opened * 2, "{{").replace(closed * 2, "}}")


def _samples(heading: str, samples: Sequence[dict[str, Any]]) -> str:
    if not samples:
        return ""
    shown = []
    for sample in samples:
        parts = []
        for feature in (name for name in TOKEN_FEATURES if name in sample):
            original, seen = sample[f"{feature}_original"], sample[feature]
            parts.append(
                f"<b>{feature}, {sample[f'{feature}_tokens']} tokens</b>"
                f'<div class="text">{_signs(original)}</div>'
            )
            if original != seen:
                parts.append(
                    "<details><summary>as the model sees it</summary>"
                    f'<div class="text">{_signs(seen)}</div></details>'
                )
        shown.append(f'<div class="sample">{"".join(parts)}</div>')
    return f"<h3>{html.escape(heading)}</h3>{''.join(shown)}"


def _signs(text: str) -> str:
    """Escaped text in which newlines, tabs and returns can be seen."""
    escaped = html.escape(text)
    for char, sign in _SIGNS.items():
        escaped = escaped.replace(char, f'<span class="sign">{sign[0]}</span>{sign[1:]}')
    return escaped


def _bar(share: float, cut: bool = False) -> str:
    css = ' class="cut"' if cut else ""
    return f'<span class="bar"><i{css} style="width:{100 * min(share, 1):.1f}%"></i></span>'


def _histogram(counts: Sequence[int], length: int, css: str = "") -> str:
    highest = max(counts) or 1
    bars = []
    for place, count in enumerate(counts):
        low = HISTOGRAM_ENDS[place - 1] if place else 0
        high = f"to {HISTOGRAM_ENDS[place]}" if place < len(HISTOGRAM_ENDS) else "or more"
        cut = ' class="cut"' if low >= length else ""
        bars.append(
            f'<i{cut} style="height:{100 * count / highest:.0f}%" '
            f'title="{low + 1} {high} tokens: {count}"></i>'
        )
    return f'<span class="hist {css}">{"".join(bars)}</span>'


# --------------------------------------------------------------------------- leaks


def _leaks(leaks: dict[str, Any] | None) -> str:
    if leaks is None:
        return (
            "<h2>Leaks</h2><p>Not looked for. <code>--leaks NAME</code> compares these rows with "
            "those of an evaluation task or mixture.</p>"
        )
    failures = leaks["failures"]
    verdict = (
        "<ul>" + "".join(f"<li>{html.escape(sentence)}</li>" for sentence in failures) + "</ul>"
        if failures
        else "Clean: nothing above the limit, and everything could be read."
    )
    words = [
        [
            entry["name"],
            entry["split"],
            f"{entry['rows']}",
            f"{entry['rows'] - entry['judged']}",
            f"{entry['overlapping']}",
            "–" if entry["share"] is None else f"{entry['share']:.2%}",
            ", ".join(f"{name} ({count})" for name, count in entry["from"].items()),
            " / ".join(one["words"] for one in entry["examples"]),
            ", ".join(entry["fields"]) or "prompts",
        ]
        for entry in leaks["tasks"]
    ]
    sources = [
        [
            f"{pair['evaluation']} ({pair['split']})",
            pair["train"],
            pair["source"],
            pair["part"],
            pair["train_part"],
            pair["shared"],
        ]
        for pair in leaks["sources"]
    ]
    scanned = [
        [entry["name"], f"{entry['rows']:,}", f"{entry['of']:,}" if entry["of"] else "?"]
        for entry in leaks["scanned"]
    ]
    heads = ("evaluated", "split", "rows", "too short", "in common", "share", "from", "for example")
    return (
        f"<h2>Leaks into {html.escape(leaks['evaluation'])}</h2>"
        f'<div class="verdict{" bad" if failures else ""}">{verdict}</div>'
        f"<h3>Examples with {leaks['ngram']} words in a row that training has, too</h3>"
        + page.table([*heads, "compared"], words, numeric=(2, 3, 4, 5))
        + ("<h3>The same data on both sides</h3>" if sources else "")
        + (
            page.table(
                ["evaluated", "trained", "source", "part", "trained part", "in common"], sources
            )
            if sources
            else ""
        )
        + "<details><summary>Training rows scanned</summary>"
        + page.table(["data set", "rows", "of"], scanned, numeric=(1, 2))
        + "</details>"
    )
