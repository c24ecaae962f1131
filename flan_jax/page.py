"""Parts of the HTML pages: one self-contained file each, with one look."""

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence

CSS = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; margin: 0 auto; max-width: 1080px;
  padding: 24px; background: #fff; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 32px 0 8px; }
.sub { color: #5b6675; margin: 0 0 16px; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; }
.card { border: 1px solid #dde3ea; border-radius: 8px; padding: 10px 14px; min-width: 120px; }
.card b { display: block; font-size: 20px; } .card span { color: #5b6675; font-size: 13px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); gap: 12px; }
.plots svg { width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: 5px 10px; border-bottom: 1px solid #e6eaf0; }
th, td { vertical-align: top; }
th { color: #5b6675; font-weight: 600; } td.n, th.n { text-align: right; }
td.n { font-variant-numeric: tabular-nums; }
tr.ok td:first-child { border-left: 3px solid #2a9d58; }
tr.no td:first-child { border-left: 3px solid #d1495b; }
pre { background: #f5f7fa; padding: 12px; border-radius: 8px; overflow-x: auto; font-size: 13px; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin: 8px 0; } summary { cursor: pointer; font-weight: 600; }
"""


def document(title: str, body: Iterable[str], *, css: str = "", script: str = "") -> str:
    """Returns a whole page.

    Args:
      title: plain text.
      body: HTML parts; empty ones are left out.
      css: rules beyond `CSS`.
      script: JavaScript that runs once the page is read.
    """
    ending = f"<script>{script}</script>\n" if script else ""
    # No other script runs, not even one that a text of a task might smuggle in, and nothing loads.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"'sha256-{digest}'" if script else "'none'"
    policy = (
        f"default-src 'none'; script-src {allowed}; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{html.escape(title)}</title><style>{CSS}{css}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + f"\n{ending}</body></html>\n"
    )


def heading(title: str, below: str) -> str:
    """Returns the page's heading and the line below it, both given as plain text."""
    return f'<h1>{html.escape(title)}</h1>\n<p class="sub">{html.escape(below)}</p>'


def cards(figures: Iterable[tuple[str, str]]) -> str:
    """Returns (label, value) pairs, plain text, as a row of cards."""
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><b>{html.escape(value)}</b><span>{html.escape(label)}</span></div>'
            for label, value in figures
        )
        + "</div>"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    """Returns a table of plain texts; the columns numbered in `numeric` are aligned right."""

    def cell(tag: str, index: int, text: str) -> str:
        css = ' class="n"' if index in numeric else ""
        return f"<{tag}{css}>{html.escape(text)}</{tag}>"

    head = "".join(cell("th", i, text) for i, text in enumerate(header))
    body = "".join(
        "<tr>" + "".join(cell("td", i, text) for i, text in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
