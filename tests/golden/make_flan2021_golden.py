"""Writes the renderings of FLAN 2021's wordings: python tests/golden/make_flan2021_golden.py.

Read the difference before committing it: every line is what a model will be shown.
"""

import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "tasks" / "flan2021"), str(TESTS.parent)]

import test_datasets  # noqa: E402  # found on the path just made

for name in test_datasets.NAMES:
    path = test_datasets.GOLDEN / f"{name}.txt"
    path.write_text(test_datasets.render_all(name), encoding="utf-8")
    print(path)
