"""Our reading and writing of safetensors against the safetensors package."""

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from etils import epath

from flan_jax.errors import CheckpointError
from flan_jax.interop import safetensors_files
from flan_jax.interop.source import Stored

ARRAYS = {
    "b.weight": np.arange(60, dtype=np.float32).reshape(5, 12),
    "a.weight": (np.arange(24) / 7).astype(ml_dtypes.bfloat16).reshape(2, 3, 4),
    "half": np.linspace(-1, 1, 9).astype(np.float16),
    "scalar": np.asarray(3.5, np.float64),
    "empty": np.zeros((0, 4), np.float32),
    "mask": np.eye(3, dtype=bool),
}


def source(path) -> safetensors_files.SafetensorsSource:
    return safetensors_files.SafetensorsSource(str(path), [epath.Path(path)])


def test_files_of_the_package_are_read(tmp_path):
    safetensors.numpy.save_file(ARRAYS, tmp_path / "x.safetensors", metadata={"format": "np"})
    found = source(tmp_path / "x.safetensors")
    assert found.metadata == {"format": "np"}
    assert {n: (s.shape, s.dtype) for n, s in found.arrays.items()} == {
        n: (a.shape, a.dtype) for n, a in ARRAYS.items()
    }
    for name, array in ARRAYS.items():
        assert found.read(name).tobytes() == array.tobytes()


def test_the_package_reads_ours(tmp_path):
    path = epath.Path(tmp_path / "x.safetensors")
    stored = {name: Stored(array.shape, array.dtype) for name, array in ARRAYS.items()}
    safetensors_files.write(path, stored, ARRAYS.__getitem__, {"format": "pt"})
    found = safetensors.numpy.load_file(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and found[name].tobytes() == array.tobytes()


def test_parts_are_cast_into_any_view(tmp_path, monkeypatch):
    monkeypatch.setattr(safetensors_files, "_BLOCK_BYTES", 100)  # Two rows at a time.
    safetensors.numpy.save_file(ARRAYS, tmp_path / "x.safetensors")
    out = np.zeros((7, 3, 2), np.float64)[::2].T[0]  # 3x4, with gaps.
    source(tmp_path / "x.safetensors").read_into("b.weight", (slice(1, 4), slice(2, 6)), out)
    np.testing.assert_array_equal(out, ARRAYS["b.weight"][1:4, 2:6])
    out = np.zeros((1, 3, 2), np.float32)
    index = (slice(1, 2), slice(0, 3), slice(2, 4))
    source(tmp_path / "x.safetensors").read_into("a.weight", index, out)
    np.testing.assert_array_equal(out, ARRAYS["a.weight"][1:2, :, 2:4].astype(np.float32))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-5], r"is cut: [\d,]+ bytes instead of"),
        (lambda data: data + b"more", "is longer than its header says"),
        (lambda data: data[:60], "is cut or not a safetensors file"),
        (lambda data: data[:4], "not a safetensors file: its header would be"),
        (lambda data: b"PK\x03\x04" + data, "not a safetensors file: its header would be"),
        (lambda data: data.replace(b'"F32"', b'"F64"', 1), "do not fit"),
        (lambda data: data.replace(b"[5,12]", b"[5,13]", 1), "do not fit"),
    ],
)
def test_damage_is_found_before_anything_is_read(tmp_path, spoil, message):
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file({"w": ARRAYS["b.weight"]}, path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(CheckpointError, match=message):
        source(path)


def test_shards_are_filled_in_order():
    stored = {f"w{i}": Stored((10,), np.dtype(np.float32)) for i in range(5)}
    groups = safetensors_files.shards(stored, 80)
    assert [name for name, _ in groups] == [
        f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)
    ]
    assert [list(group) for _, group in groups] == [["w0", "w1"], ["w2", "w3"], ["w4"]]
    assert safetensors_files.shards(stored, 10**9)[0][0] == "model.safetensors"
