"""The table that the scripts book by, against the one that plans are made with."""

import csv
import pathlib

import pytest

from flan_jax import chips

TABLE = pathlib.Path(__file__).parents[2] / "tpu_scripts" / "slices.tsv"
ROWS = list(
    csv.DictReader(
        (line for line in TABLE.read_text().splitlines() if not line.startswith("#")),
        delimiter="\t",
    )
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_chips_hosts_and_shape(row):
    shape = chips.parse_slice(row["name"])
    assert "x".join(map(str, shape.dims)) == row["topology"]
    assert (shape.chips, shape.hosts) == (int(row["chips"]), int(row["hosts"]))
    assert shape.booked_as == row["accelerator_type"]
