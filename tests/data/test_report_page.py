"""The page of an inspection: whole, self-contained, every task on it, nothing of the data run."""

import html.parser
import re
import shutil
import subprocess

import pytest

from flan_jax.data.report_page import inspection_page

EVIL = "</script><script>alert(1)</script> \"q\" & 'a'\n<em>bold</em>\tend"


def sample(text):
    return {
        f"{feature}{suffix}": value
        for feature in ("inputs", "targets")
        for suffix, value in (("", text.replace("\n", " ")), ("_original", text), ("_tokens", 7))
    }


def size(mean, over):
    return {
        "mean": mean, "median": mean, "p95": mean, "max": int(mean), "over": over,
        "histogram": [0, 1, 2, 0, 0, 0, 0, 3, 0, 0],
    }  # fmt: skip


def task(number, **changes):
    return {
        "name": f"task_{number}",
        "error": None,
        "rows": 100 * number,
        "rate": float(number),
        "rate_kind": "Cap",
        "rate_text": "Cap(rows=3000, split='train')",
        "cap": 3000,
        "share": number / 100,
        "expected_draws": 5.0,
        "expected_epochs": None,
        "facts": {"licence": "CC <0>"},
        "examples_read": 6,
        "mean_input_tokens": 10.0,
        "mean_target_tokens": 2.0,
        "truncated_inputs": 0.25,
        "truncated_targets": 0.0,
        "changed_texts": 0.5,
        "sizes": {
            "inputs": size(100.0, {"256": 0.5, "512": 0.25}),
            "targets": size(2.0, {"64": 0.0, "128": 0.0}),
        },
        "templates": [
            {"number": 0, "name": "a", "inverted": False, "inputs": "Q:\n{question} {{x}} <em>",
             "targets": "{answer}", "rows": 6},
            {"number": 1, "name": "b", "inverted": True, "inputs": EVIL, "targets": "{question}",
             "rows": 0},
        ],
        "shots": 2,
        "mean_exemplars": 1.5,
        "lost_characters": {"\n": 3, "<": 1},
        "samples": [sample("plain"), sample(EVIL)],
        "siblings": [
            {"shots": 5, "name": "task_5_shot", "samples": [sample("five")], "error": None},
            {"shots": 2, "name": "task_2_shot", "samples": [], "error": "gone <x>"},
        ],
        **changes,
    }  # fmt: skip


def inspection(count=3, **changes):
    tasks = [task(number) for number in range(count)]
    broken = {"name": "broken<em>", "error": f"no file: {EVIL}", "rows": None, "rate": None}
    tasks.append({**task(1), **broken, "share": None, "expected_draws": None})
    for key in ("samples", "templates", "sizes", "siblings", "lost_characters"):
        del tasks[-1][key]
    return {
        "name": "mix_<em>", "kind": "mixture", "mixtures": [], "split": "train",
        "lengths": {"inputs": 512, "targets": 128}, "batch_size": 8, "packed": True,
        "num_steps": 1000, "unreadable": 1, "examples_per_row": 2.5, "encoder_fill": 0.9,
        "decoder_fill": 0.5, "tasks": tasks, "leaks": None, **changes,
    }  # fmt: skip


LEAKS = {
    "train": "mix", "train_split": "train", "evaluation": "eval_<em>", "sealed": True,
    "max_overlap": 0.01, "ngram": 13,
    "sources": [{"train": "a", "evaluation": "b", "split": "test", "source": "shelf/a",
                 "part": "test", "train_part": "train", "shared": "data set", "fails": True}],
    "tasks": [{"name": "b", "split": "test", "tasks": ["b"], "fields": ["text"], "rows": 5,
               "judged": 4, "overlapping": 1, "share": 0.25, "ignored_words": 0.0,
               "from": {"a": 1}, "examples": [{"train": "a", "words": "some <words>"}],
               "error": None, "fails": True}],
    "scanned": [{"name": "a", "split": "train", "tasks": ["a"], "rows": 10, "of": None,
                 "error": None}],
    "failures": ["b fails <because>"],
}  # fmt: skip


class Reader(html.parser.HTMLParser):
    """Checks that tags are closed in order; collects attributes, scripts and text."""

    VOID = {"meta", "br", "input"}

    def __init__(self, page):
        super().__init__()
        self.open, self.attributes, self.counts, self.text, self.scripts = [], [], {}, [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open[-1:] == ["script"] else self.text).append(data)


@pytest.fixture(scope="module")
def page():
    return inspection_page(inspection(leaks=LEAKS))


def test_page_is_whole_and_loads_nothing(page):
    read = Reader(page)
    assert not [a for a in read.attributes if a[1] in ("src", "href", "onclick", "onerror")]
    assert not re.search(r"@import|url\(", page)
    assert read.counts["tbody"] == 4


def test_data_cannot_become_markup_or_script(page):
    read = Reader(page)
    assert read.counts["script"] == len(read.scripts) == 1
    assert "alert" not in read.scripts[0]
    assert not {"em", "words", "because", "x"} & set(read.counts)
    text = "".join(read.text)
    assert "alert(1)" in text and "<words>" in text and "<because>" in text and "gone <x>" in text


def test_newlines_can_be_seen(page):
    assert '<span class="sign">⏎</span>\n&lt;em&gt;bold' in page
    assert '<span class="sign">⇥</span>\tend' in page
    assert '<span class="field">{question}</span> {{x}} &lt;em&gt;' in page


def test_figures_are_on_the_page(page):
    text = " ".join("".join(Reader(page).text).split())
    for piece in ("cannot be read", "2 templates, and how many of 6 rows", "inverted", "CC <0>",
                  "Cap(rows=3000, split='train')", "With 5 solved examples: task_5_shot",
                  "1.50 of at most 2 solved examples", "'\\n' ×3", "512", "25.0% (configured)",
                  "Leaks into eval_<em>", "25.00%", "as the model sees it"):  # fmt: skip
        assert piece in text
    assert "Not looked for" in inspection_page(inspection())


def test_search_sort_and_filter_have_what_they_need(page):
    read = Reader(page)
    finds = [value for tag, key, value in read.attributes if (tag, key) == ("tbody", "data-find")]
    assert "cc <0>" in finds[0] and "task_0" in finds[0] and "q:\n{question}" in finds[0]
    marks = [value for tag, key, value in read.attributes if key == "data-marks"]
    assert marks == ["cut-inputs losses unused"] * 3 + ["unreadable"]
    cells = [value for tag, key, value in read.attributes if (tag, key) == ("td", "data-value")]
    assert len(cells) == 4 * 13


def test_hundreds_of_tasks():
    page = inspection_page(inspection(400))
    assert Reader(page).counts["tbody"] == 401
    assert len(page) < 400 * 12_000


def test_the_script_is_sound():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to check the script's syntax")
    (script,) = Reader(inspection_page(inspection(1))).scripts
    done = subprocess.run([node, "--check", "-"], input=script, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
