"""Folders in the data sets' own layouts, cut from real files; no training row is evaluated."""

import itertools
import pathlib
import shutil

# Data set -> (file under supervised/, {file of the data set: rows from, rows to}).
PIECES = {
    "bool_q": ("superglue/BoolQ/val.jsonl", {"train.jsonl": (0, 2000), "val.jsonl": (2000, None)}),
    "wic": ("superglue/WiC/val.jsonl", {"train.jsonl": (0, 500), "val.jsonl": (500, None)}),
    "rte": ("superglue/RTE/val.jsonl", {"train.jsonl": (0, 230), "val.jsonl": (230, None)}),
    "cb": ("superglue/CB/val.jsonl", {"train.jsonl": (0, 40), "val.jsonl": (40, None)}),
    "winogrande": (
        "mosaic_icl/winogrande.jsonl",
        {"train_xl.jsonl": (0, 900), "dev.jsonl": (900, None)},
    ),
    "anli_r1": (
        "anli/R1_dev_derived.jsonl",
        {"train.jsonl": (0, 400), "dev.jsonl": (400, 700), "test.jsonl": (700, None)},
    ),
    "ag_news_subset": ("ag_news/test.csv", {"train.csv": (0, 6000), "test.csv": (6000, None)}),
}


def write_folders(supervised: pathlib.Path, folder: pathlib.Path) -> dict[str, str]:
    """Writes the folders and returns data set -> folder."""
    found = {}
    for name, (source, pieces) in PIECES.items():
        for file, (start, stop) in pieces.items():
            path = folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            with (supervised / source).open("rb") as lines:
                path.write_bytes(b"".join(itertools.islice(lines, start, stop)))
        found[name] = str(folder / name)
    for name, copies in {
        "trec": {"train_5500.label": "train_5500.label", "TREC_10.label": "TREC_10.label"},
        "e2e_nlg": {"devset.csv": "train-fixed.no-ol.csv"},
    }.items():
        origin = supervised / name
        for there, here in copies.items():
            path = folder / name / here
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin / there, path)
        found[name] = str(folder / name)
    return found
