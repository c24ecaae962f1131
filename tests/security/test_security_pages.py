"""Texts of tasks and models are shown as texts: in reports, and on the page of raters.

More of it stands beside the pages' other tests: test_report_page, test_suites_report_page (both in
a browser too), test_rating_page, test_rating_server.
"""

import argparse
import base64
import hashlib
import html.parser
import inspect
import json
import pathlib
import re

import pytest
from chromium import PATH, Chromium

import flan_jax
from flan_jax import page, report, telemetry
from flan_jax.data import report_text
from flan_jax.rating import flags as rating_flags
from flan_jax.rating import server

ATTACKS = (
    "<script>attack()</script>",
    "</script><script>attack()</script>",
    "<img src=x onerror=attack()>",
    "<svg/onload=attack()>",
    "\"><b onmouseover='attack()'>",
    "' onfocus='attack()' autofocus='",
    "</title></style></pre><iframe srcdoc='<script>attack()</script>'>",
    "--><script>attack()</script><!--",
    "<a href='javascript:attack()'>x</a>",
    "]]><script>attack()</script>",
)
ALL = " ".join(ATTACKS)


class Reader(html.parser.HTMLParser):
    """Collects what a page would run, load or follow, and its texts."""

    def __init__(self, text):
        super().__init__()
        self.dangers, self.text = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "iframe", "object", "embed", "img", "base", "link", "form"):
            self.dangers.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name in ("src", "srcdoc", "autofocus", "action"):
                self.dangers.append(name)
            if name in ("href", "xlink:href") and not (value or "").startswith("#"):
                self.dangers.append(value)

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.text += data


def test_the_reader_finds_each_attack():
    for attack in ATTACKS:
        assert Reader(f"<p title='{attack}'>{attack}").dangers, attack


def test_parts_of_pages_take_plain_texts():
    body = [
        page.heading(ALL, ALL),
        page.cards([(ALL, ALL)]),
        page.table([ALL], [[ALL]]),
    ]
    found = Reader(page.document(ALL, body))
    assert found.dangers == []
    assert found.text.count(ALL) == 7


def test_the_report_of_a_run_shows_hostile_texts_as_texts(tmp_path):
    writer = telemetry.MetricsWriter(tmp_path, tensorboard=False)
    # One plot, since they take time, with short names, since it has them at its side.
    for name in ATTACKS[:2]:
        writer.write("train_eval", 20, 1.0, {"task": name, "loss": 2.0, "num_tokens": 3})
        writer.write("infer_eval", 20, 1.0, {"task": ALL, ALL: 50.0})
    writer.close()
    (tmp_path / "config.gin").write_text(f"NAME = {ALL!r}\n")
    stats = {ALL: ALL, "tasks": {ALL: {ALL: 3}}}
    (tmp_path / "data_stats.json").write_text(json.dumps(stats))
    (tmp_path / "infer_eval").mkdir()
    row = {"inputs": ALL, "targets": [ALL], "prediction": ALL, "score": ALL}
    (tmp_path / "infer_eval" / "task-20.jsonl").write_text(json.dumps(row) + "\n")
    summary = {"title": ALL, "header": [ALL], "rows": [[ALL]], "notes": [ALL]}
    results = {"step": 20, "summary": summary}
    (tmp_path / "infer_eval" / "results-20.json").write_text(json.dumps(results))
    text = report.write_report(tmp_path).read_text("utf-8")
    found = Reader(text)
    assert found.dangers == []
    assert found.text.count(ATTACKS[0]) >= 15


def test_a_page_runs_its_own_script_and_no_other():
    # A second defence, for a text that an escape might be forgotten for.
    script = "document.title = 'x' && 1 < 2;"
    text = page.document("t", ["<p>x</p>"], script=script)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert f"<script>{script}</script>" in text
    assert text.index("Content-Security-Policy") < text.index("<title>")
    assert "script-src 'none'" in page.document("t", [])


def test_a_terminal_is_given_no_orders():
    orders = "a\x1b]0;title\x07\x1b[2Jb\x9b31m\x7f\n"
    shown = report_text.visible(orders)
    assert shown.isprintable() and "a" in shown and "b" in shown and "⏎" in shown


# ----------------------------------------------------------------------------- servers


def test_the_raters_page_is_this_machines_alone_by_default():
    parser = argparse.ArgumentParser()
    rating_flags.add_arguments(parser)
    assert parser.parse_args(["a.jsonl"]).host == "127.0.0.1"
    assert inspect.signature(server.RatingServer).parameters["host"].default == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("localhost.attacker.example", False),
        ("127.0.0.1.attacker.example", False),
        ("2130706433", False),
        ("", False),
    ],
)
def test_only_loopback_is_this_machine(host, own):
    assert server.is_loopback(host) is own


def test_nothing_else_of_ours_listens():
    root = pathlib.Path(flan_jax.__file__).parents[1]
    listening = re.compile(r"HTTPServer|socketserver|\.listen\(|start_server|create_server")
    files = {
        path.relative_to(root).as_posix()
        for folder in ("flan_jax", "tasks")
        for path in (root / folder).rglob("*.py")
        if listening.search(path.read_text("utf-8"))
    }
    # The roll call of several hosts is open to their network, as JAX's own coordinator is.
    assert files - {"flan_jax/roll_call.py"} == {"flan_jax/rating/server.py"}


@pytest.mark.slow
@pytest.mark.skipif(not PATH.exists(), reason=f"there is no browser at {PATH}")
def test_a_browser_runs_no_script_that_was_smuggled_in(tmp_path):
    # What pages would do if a text was not escaped: each of these runs where there is no policy.
    smuggled = (
        "<script>window.attacked = 'script'</script>"
        "<p onclick=\"window.attacked = 'event'\" id='p'>x</p>"
        "<a href=\"javascript:void(window.attacked = 'link')\" id='a'>x</a>"
        "<img src='data:image/png,no' onerror=\"window.attacked = 'image'\">"
    )
    guarded = page.document("t", [smuggled], script="window.ours = true;")
    policy = re.compile("<meta http-equiv[^>]*>")
    (tmp_path / "guarded.html").write_text(guarded)
    (tmp_path / "open.html").write_text(policy.sub("", guarded))
    with Chromium(tmp_path / "profile") as browser:
        for name, expected in (("open", True), ("guarded", False)):
            browser.open(f"file://{tmp_path}/{name}.html")
            for element in ("p", "a"):
                browser.run(f"document.getElementById('{element}').click()")
            assert browser.run("window.ours === true")
            assert browser.run("window.attacked !== undefined") is expected
