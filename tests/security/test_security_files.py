"""Checkpoints, archives and data from others are read as data, and from where they lie."""

import ast
import gzip
import io
import json
import pathlib
import pickle
import re
import zipfile

import flax.serialization
import msgpack
import numpy as np
import pytest

from flan_jax import npz_files
from flan_jax.data import snapshot
from flan_jax.errors import CheckpointError, DataError
from flan_jax.interop import detect, opened, stores
from tasks.benchmarks import tydiqa

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Modules that load objects, or unpack archives wherever these say.
FORBIDDEN_MODULES = {
    "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "pickle", "shelve", "tarfile",
}  # fmt: skip
FORBIDDEN_CALLS = {
    "compile", "eval", "exec", "os.popen", "os.system", "shutil.unpack_archive", "torch.load",
    "yaml.full_load", "yaml.unsafe_load",
}  # fmt: skip
WORDS = re.compile(
    "|".join(FORBIDDEN_MODULES)
    + r"|load\(|eval\(|exec\(|compile\(|extractall|mktemp|open\(|system\(|unpack_|shell"
    "|parse_config|import_module|__import__|trust_remote_code|from_pretrained|unsafe_load|full_load"
)
METHODS = {"extractall", "mktemp"}
# gin itself imports what a text names; it is only given texts that were checked before.
GIN = {"gin.parse_config", "gin.parse_config_file", "gin.parse_config_files_and_bindings"}
MAY_CALL_GIN = {"flan_jax/gin_utils.py", "flan_jax/data/prepared/work.py"}
# Where a name that a setting holds is imported; `gin_trust` guards those that gin files can set.
DYNAMIC_IMPORTS = {
    "flan_jax/checkpoint_choice.py",
    "flan_jax/configurables.py",
    "flan_jax/data/mixture.py",
    "flan_jax/doctor.py",
    "flan_jax/eval/suites/catalog.py",
    "flan_jax/eval/toxicity.py",
    "flan_jax/gin_check.py",
    "flan_jax/gin_utils.py",
    "flan_jax/interop/exporting.py",
}


def dotted(node):
    """The name that is called, such as 'np.load'; '?' stands for what is no name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def written(node):
    return repr(node.value) if isinstance(node, ast.Constant) else "?"


class Finder(ast.NodeVisitor):
    """What in a file would run what a file of somebody else's holds."""

    def __init__(self, text):
        self.found, self.imports_by_name, self.calls_gin = [], False, False
        self.visit(ast.parse(text))

    def visit_Import(self, node):
        self.found += [a.name for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES]

    def visit_ImportFrom(self, node):
        if (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            self.found.append(node.module)

    def visit_Call(self, node):
        name = dotted(node.func)
        given = {each.arg: written(each.value) for each in node.keywords}
        if name in FORBIDDEN_CALLS or name.rsplit(".", 1)[-1] in METHODS:
            self.found.append(name)
        if name in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
            self.found.append(name)
        if name == "yaml.load" and dotted(node.args[1]) not in ("_Loader", "SafeLoader"):
            self.found.append(name)
        if given.get("shell", "False") != "False":
            self.found.append("shell")
        if given.get("trust_remote_code", "False") != "False":
            self.found.append("trust_remote_code")
        if name.endswith("from_pretrained") and given.get("trust_remote_code") != "False":
            self.found.append(name)
        if name in ("importlib.import_module", "import_module", "__import__"):
            self.imports_by_name |= not isinstance(node.args[0], ast.Constant)
        self.calls_gin |= name in GIN
        self.generic_visit(node)


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "eval(x)",
        "np.load(x)",
        "np.load(x, allow_pickle=True)",
        "yaml.load(x, Loader)",
        "subprocess.run(x, shell=True)",
        "archive.extractall(x)",
        "tempfile.mktemp()",
        "torch.load(x)",
        "auto.from_pretrained(x)",
        "pipeline(x, trust_remote_code=True)",
    ],
)
def test_the_search_below_finds_what_it_looks_for(text):
    assert Finder(text).found and WORDS.search(text)


def test_nothing_of_ours_unpickles_evaluates_or_unpacks():
    files = [p for folder in ("flan_jax", "tasks") for p in (ROOT / folder).rglob("*.py")]
    assert len(files) > 300
    found, by_name, calling_gin = {}, set(), set()
    for path in files:
        text = path.read_text("utf-8")
        if not WORDS.search(text):  # Parsing every file takes seconds.
            continue
        finder = Finder(text)
        if finder.found:
            found[path.name] = finder.found
        name = path.relative_to(ROOT).as_posix()
        by_name |= {name} if finder.imports_by_name else set()
        calling_gin |= {name} if finder.calls_gin else set()
    assert found == {}
    assert by_name - DYNAMIC_IMPORTS == set(), "guard it with gin_trust.check and name it above"
    assert calling_gin - MAY_CALL_GIN == set()


# ------------------------------------------------------------------------------ arrays


class Attack:
    """Unpickled, it writes a file."""

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path("ran"),)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not pathlib.Path("ran").exists()


def test_the_attack_works_where_pickles_are_loaded(monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    pickle.loads(pickle.dumps(Attack()))
    assert pathlib.Path("ran").exists()
    pathlib.Path("ran").unlink()


def objects_npz():
    buffer = io.BytesIO()
    np.savez(buffer, x=np.array([Attack()], object))
    return buffer.getvalue()


def test_arrays_of_objects_are_not_loaded(folder):
    with pytest.raises(ValueError, match="[Oo]bject"):
        npz_files.read_arrays(io.BytesIO(objects_npz()))
    with pytest.raises(CheckpointError, match="damaged"):
        snapshot.from_bytes(objects_npz())
    pathlib.Path("x.npz").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(zipfile.BadZipFile):
        npz_files.read_arrays(folder / "x.npz")


def test_an_npz_larger_than_it_looks_is_not_unpacked(folder):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.zeros(1 << 20, np.int8))
    assert len(buffer.getvalue()) < 1 << 12
    found = npz_files.read_arrays(io.BytesIO(buffer.getvalue()), most_bytes=1 << 21)
    assert found["x"].nbytes == 1 << 20
    with pytest.raises(ValueError, match="unpack to 1,048,"):
        npz_files.read_arrays(buffer, most_bytes=1 << 20)


def test_a_compressed_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(tydiqa, "_MOST_LINE_BYTES", 1000)
    path = pathlib.Path("x.jsonl.gz")
    path.write_bytes(gzip.compress(b"short\n" + b"a" * 5000))
    lines = tydiqa._lines(path)
    assert next(lines) == "short\n"
    with pytest.raises(DataError, match="a line of more than 1,000 bytes"):
        next(lines)


# ------------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model.bin.index.json"])
def test_pickled_weights_are_refused_with_the_way_out(folder, name):
    (folder / "config.json").write_text("{}")
    (folder / name).write_bytes(pickle.dumps(Attack()))
    with pytest.raises(CheckpointError, match="can run code") as caught:
        detect.detect(folder)
    assert "save_pretrained" in str(caught.value)


def write_t5x(folder, **leaves):
    tree = {"version": 3, "optimizer": {"target": leaves}}
    (folder / "checkpoint").write_bytes(flax.serialization.msgpack_serialize(tree))


SPEC = {"driver": "zarr", "kvstore": {"driver": "file", "path": "w"}}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({**SPEC, "driver": "cast", "base": {"driver": "zarr"}}, "stored as 'cast'"),
        ({**SPEC, "driver": "neuroglancer_precomputed"}, "expected 'zarr'"),
        ({**SPEC, "kvstore": {"driver": "http", "base_url": "http://x"}}, "driver 'http'"),
        ({**SPEC, "kvstore": {"driver": "file", "path": ".."}}, "no place"),
        ({**SPEC, "kvstore": {"driver": "file", "path": "/"}}, "no place"),
    ],
)
def test_a_description_of_an_array_leads_to_the_folder_of_the_checkpoint(folder, spec, message):
    write_t5x(folder, w=spec)
    with pytest.raises(CheckpointError, match=message):
        stores.open_t5x(folder)


def test_paths_and_contexts_in_a_description_are_replaced(folder):
    spec = {
        "driver": "zarr",
        "kvstore": {"driver": "gcs", "bucket": "theirs", "path": "/etc/w"},
        "context": {"gcs_user_project": {"project_id": "mine"}},
    }
    placed = stores._placed(spec, folder, "w")
    assert placed["kvstore"] == {"driver": "file", "path": f"{folder.resolve()}/w/"}
    assert "context" not in placed


def test_msgpack_gives_numbers_and_arrays_alone(folder):
    def with_leaf(leaf):
        tree = {"version": 3, "optimizer": {"target": {"x": leaf}}}
        (folder / "checkpoint").write_bytes(msgpack.packb(tree))
        return stores.open_t5x(folder)

    assert with_leaf(3).arrays["target/x"].shape == ()
    of_objects = msgpack.packb([(1,), b"O", pickle.dumps(Attack())])
    for leaf in (
        msgpack.ExtType(1, of_objects),
        msgpack.ExtType(3, of_objects),
        msgpack.ExtType(42, b"whatever"),
        "text",
        b"bytes",
        [1, 2],
    ):
        with pytest.raises(CheckpointError):
            with_leaf(leaf)


@pytest.mark.parametrize("name", ["../../x.safetensors", "/etc/passwd", "a/b", "..", "", 3, "a\0"])
def test_shards_lie_beside_their_index(folder, name):
    index = folder / detect.SAFETENSORS_INDEX
    index.write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(CheckpointError, match="names of files beside it"):
        opened._safetensors(folder)


@pytest.mark.parametrize("key", ["../../x", "/etc/x", "a/../../x"])
def test_names_in_orbax_metadata_stay_below_the_item(folder, key):
    entry = {"key_metadata": [{"key": key}], "value_metadata": {"value_type": "jax.Array"}}
    metadata = {"tree_metadata": {"x": entry}, "use_ocdbt": False}
    (folder / "_METADATA").write_text(json.dumps(metadata))
    with pytest.raises(CheckpointError, match="names an array"):
        stores.open_orbax(folder, "here")
