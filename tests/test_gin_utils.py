"""Strict gin on a small made-up set of configurables; the shipped files are in test_gin_configs."""

import dataclasses
import pathlib
import subprocess
import sys

import gin
import pytest

from flan_jax import configurables, gin_check, gin_source, gin_trust, gin_utils
from flan_jax.errors import ConfigError

RUN = "strict.run"


@gin.configurable(module="strict")
@dataclasses.dataclass
class Net:
    width: int
    depth: int = 2
    names: tuple[str, ...] = ("a", "b")
    table: object = dataclasses.field(default_factory=dict)


@gin.configurable(module="strict")
@dataclasses.dataclass
class Plain:
    rate: float = 0.5


@gin.configurable(module="strict")
@dataclasses.dataclass
class Momentum:
    beta: float = 0.9


@gin.configurable(module="strict")
@dataclasses.dataclass
class Rows:
    split: str = "train"
    size: int = 4


@gin.configurable(module="strict")
@dataclasses.dataclass
class Looked:
    """Read by code without a reference in gin."""

    place: str | None = None


@gin.configurable(module="strict", denylist=["secret"])
def run(net=gin.REQUIRED, optimizer=None, rows=None, more_rows=None, where=None, secret=0):
    return net, optimizer, rows, more_rows, where


@gin.configurable(module="strict")
def other(net=None, note=None):
    return net, note


MODEL = """
WIDTH = 8
OPTIMIZER = @strict.Plain()
strict.Plain.rate = 0.25
NET = @strict.Net()
strict.Net:
  width = %WIDTH
"""
RUN_FILE = """
PLACE = %gin.REQUIRED
SIZE = 4
strict.run:
  net = %NET
  optimizer = %OPTIMIZER
  rows = @first/strict.Rows()
  more_rows = @second/strict.Rows()
  where = %PLACE
strict.Rows.size = %SIZE
first/strict.Rows.split = 'train'
second/strict.Rows.split = 'test'
"""


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    monkeypatch.setattr(gin_utils, "_consulted", [])
    yield
    gin_utils.clear()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("models").mkdir()
    pathlib.Path("models/net.gin").write_text(MODEL)
    pathlib.Path("run.gin").write_text(RUN_FILE)
    return tmp_path


def parse(*bindings, files=("models/net.gin", "run.gin"), entry=RUN, **kwargs):
    return gin_utils.parse(files, ["PLACE = 'x'", *bindings], entry=entry, register=(), **kwargs)


def mistakes(*bindings, **kwargs):
    with pytest.raises(ConfigError) as caught:
        parse(*bindings, **kwargs)
    return str(caught.value)


def test_applies_files_and_flags_in_order(folder):
    parse("WIDTH = 16", "first/strict.Rows.size = 2")
    net, optimizer, rows, more_rows, where = run()
    assert (net.width, net.depth, optimizer.rate, where) == (16, 2, 0.25, "x")
    assert (rows.split, rows.size, more_rows.split, more_rows.size) == ("train", 2, "test", 4)


def test_effective_text_holds_bindings_and_defaults_and_parses_again(folder):
    text = parse("first/strict.Rows.size = 2")
    assert text == gin_utils.effective_config_str()
    assert "WIDTH = 8\n" in text
    assert "strict.Net.depth = 2\n" in text
    assert "strict.Net.names = ('a', 'b')\n" in text
    assert "first/strict.Rows.size = 2\nsecond/strict.Rows.split" not in text
    assert "table" not in text  # A default gin cannot write.
    pathlib.Path("config.gin").write_text(text)
    again = gin_utils.parse(["config.gin"], entry=RUN, register=())
    assert again == text
    assert run()[3].split == "test"


def test_effective_text_does_not_depend_on_the_order_of_files(folder):
    first = parse()
    assert parse(files=("run.gin", "models/net.gin")) == first


def test_macro_value_calls_references(folder):
    parse("WIDTH = 3")
    assert gin_utils.macro_value("NET").width == 3
    with pytest.raises(ConfigError, match="does not define NOT_THERE"):
        gin_utils.macro_value("NOT_THERE")


def test_a_swapped_part_leaves_its_settings_without_complaint(folder):
    text = parse("OPTIMIZER = @strict.Momentum()")
    assert "strict.Plain" not in text
    assert "strict.Momentum.beta = 0.9" in text


# What is wrong -> what the message must hold.
WRONG = {
    "unknown parameter": ("strict.Net.widht = 3", ["no parameter 'widht'", "Did you mean 'width'"]),
    "unknown configurable": ("strict.Nett.width = 3", ["'strict.Nett'", "'strict.Net'"]),
    "unknown reference": ("NET = @strict.Nett()", ["'strict.Nett'", "'strict.Net'"]),
    "unknown macro": ("strict.Net.width = %WIDHT", ["'WIDHT' is not defined", "'WIDTH'"]),
    "unread macro": ("WIDHT = 3", ["'WIDHT' is never used", "'WIDTH'", "--gin.WIDHT=3"]),
    "unused binding": ("strict.Momentum.beta = 0.1", ["nothing uses it", "not referred to"]),
    "unknown scope": ("frist/strict.Rows.size = 1", ["nothing uses it", "'first'"]),
    "denied parameter": ("strict.run.secret = 1", ["no parameter 'secret'"]),
    "bare word": ("PLACE = oops", ["needs quotes", "--gin.PLACE=\"'oops'\""]),
    "bare path": ("PLACE = /tmp/it", ["needs quotes", "--gin.PLACE=\"'/tmp/it'\""]),
    "no value": ("PLACE =", ["no value", "--gin.PLACE=VALUE"]),
    "open quote": ("PLACE = 'x", ["check brackets and quotes"]),
    "required": ("PLACE = %gin.REQUIRED", ["PLACE is required", "overridden by this line"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_flag_is_named_with_its_mistake_and_a_fix(folder, name):
    flag, expected = WRONG[name]
    text = mistakes(flag)
    for part in expected:
        assert part in text
    assert "Fix: " in text


def test_a_parameter_without_default_of_what_gin_calls_must_be_bound(folder):
    text = mistakes("NET = @inner/strict.Net()", files=["run.gin"])
    assert "'OPTIMIZER' is not defined" in text and "models/t5_1_1_small.gin" in text
    text = mistakes("NET = @inner/strict.Net()", "OPTIMIZER = None", files=["run.gin"])
    assert "strict.Net.width is required and not given" in text
    parse("NET = @strict.Net", "OPTIMIZER = None", files=["run.gin"])  # Called by code, if at all.


def test_flags_override_settings_of_a_part_that_was_swapped_out_before(folder):
    text = mistakes("OPTIMIZER = @strict.Momentum()", "strict.Plain.rate = 1.0")
    assert "strict.Plain.rate=1.0" in text and "nothing uses it" in text


def test_several_mistakes_are_reported_together_with_file_and_line(folder):
    pathlib.Path("run.gin").write_text(RUN_FILE + "strict.run.nett = 1\nstrict.Rows.sise = 2\n")
    text = mistakes()
    assert "2 mistakes" in text
    assert "run.gin:13: strict.run.nett = 1" in text
    assert "run.gin:14: strict.Rows.sise = 2" in text


def test_same_key_twice_in_a_file_is_a_mistake(folder):
    pathlib.Path("run.gin").write_text(RUN_FILE + "Rows.size = 9\n")
    text = mistakes()
    assert "run.gin:10: strict.Rows.size = %SIZE" in text
    assert "bound again at run.gin:13: Rows.size = 9" in text


def test_an_include_may_be_overridden_below_but_not_override_what_stands_above(folder):
    pathlib.Path("good.gin").write_text("include 'models/net.gin'\ninclude 'run.gin'\nWIDTH = 9\n")
    assert "WIDTH = 9" in parse(files=["good.gin"])
    pathlib.Path("bad.gin").write_text("WIDTH = 9\ninclude 'models/net.gin'\ninclude 'run.gin'\n")
    text = mistakes(files=["bad.gin"])
    assert "bad.gin:1: WIDTH = 9" in text and "move the include above" in text


def test_missing_file_names_the_places_searched_and_near_names(folder):
    text = mistakes(files=["models/nett.gin", "run.gin"], search_paths=["elsewhere"])
    assert "no gin file 'models/nett.gin'" in text
    assert "'elsewhere'" in text and str(folder) in text
    assert "WIDTH" not in text  # What the file would define is not held against the others.
    text = mistakes(files=["net.gin"], search_paths=["models/.."])
    assert "models/net.gin" in text


def test_search_paths_and_the_including_file_s_folder_are_searched(folder, tmp_path):
    deep = tmp_path / "deep" / "er"
    deep.mkdir(parents=True)
    (deep / "top.gin").write_text("include 'models/net.gin'\ninclude 'beside.gin'\n")
    (deep / "beside.gin").write_text(RUN_FILE)
    assert "WIDTH = 8" in parse(files=["top.gin"], search_paths=[str(deep)])


def test_include_of_itself_is_a_mistake(folder):
    pathlib.Path("a.gin").write_text("include 'b.gin'\n")
    pathlib.Path("b.gin").write_text("include 'a.gin'\n")
    assert "includes itself" in mistakes(files=["a.gin"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("PLACE = = 3", "run.gin:13"),
        ("strict.Net.width = oops", "'oops' is not a gin value"),
        ("strict.Net.width = 'oops", "run.gin:13"),
        ("strict.Net.width = (1,", "run.gin:1"),
        ("strict.Net\n", "This is not gin"),
    ],
)
def test_lines_that_are_not_gin_are_named(folder, line, expected):
    pathlib.Path("run.gin").write_text(RUN_FILE + line + "\n")
    assert expected in mistakes()


def test_imports_of_t5x_are_refused_and_others_are_tried(folder):
    pathlib.Path("run.gin").write_text(
        "from t5x import utils\nimport tasks.no_such_module\n" + RUN_FILE
    )
    text = mistakes()
    assert "run.gin:1: from t5x import utils" in text and "remove this line" in text
    assert "run.gin:2: import tasks.no_such_module" in text and "cannot be imported" in text


def test_imported_modules_may_register(folder, monkeypatch):
    pathlib.Path("my_parts.py").write_text(
        "import gin\n@gin.configurable(module='mine')\ndef part(size=1):\n    return size\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    pathlib.Path("run.gin").write_text("import my_parts\n" + RUN_FILE)
    trust = gin_trust.Trust(everything=True)
    parse("NET = @mine.part()", "mine.part.size = 7", trust=trust)
    assert run()[0] == 7


def test_what_the_command_does_not_need_may_be_missing(folder, monkeypatch):
    monkeypatch.setattr(gin_check, "ENTRY_POINTS", (RUN, "strict.other"))
    pathlib.Path("both.gin").write_text(
        "include 'models/net.gin'\ninclude 'run.gin'\nNOTE = %gin.REQUIRED\n"
        "strict.other.note = %NOTE\n"
    )
    parse(files=["both.gin"])
    assert "NOTE is required" in mistakes(files=["both.gin"], entry="strict.other")


def test_an_entry_without_a_run_file_says_what_is_missing(folder):
    text = mistakes(files=["models/net.gin"], entry="strict.run")
    assert "'PLACE' is never used" in text
    with pytest.raises(ConfigError, match="strict.run.net is required") as caught:
        gin_utils.parse([], [], entry=RUN, register=())
    assert "--gin_file=runs/finetune.gin" in str(caught.value)


def test_a_macro_can_be_the_entry(folder):
    text = gin_utils.parse(
        ["models/net.gin"], ["strict.Net.table = %OPTIMIZER"], entry="%NET", register=()
    )
    assert "strict.Net.depth = 2" in text
    assert gin_utils.macro_value("NET").width == 8


def test_marked_roots_may_be_bound_without_a_reference(folder):
    assert "strict.Looked.place" in mistakes("strict.Looked.place = 'here'")
    gin_utils.mark_root("strict.Looked")
    assert "strict.Looked.place = 'here'" in parse("strict.Looked.place = 'here'")
    assert "strict.Looked" not in parse()


def test_a_mistake_leaves_the_applied_configuration_alone(folder):
    parse("WIDTH = 3")
    mistakes("WIDHT = 4")
    assert run()[0].width == 3


def test_config_diff_lists_keys_and_ignores_a_move():
    old = "MODEL_DIR = '/a/one'\nX = 1\nP = '/a/one/sub'\nGONE = 2\n"
    new = "MODEL_DIR = '/b/two'\nX = 2\nP = '/b/two/sub'\nADDED = 'q'\n"
    assert gin_utils.config_diff(old, new) == [
        "ADDED: (not set) -> 'q'",
        "GONE: 2 -> (not set)",
        "X: 1 -> 2",
    ]
    assert gin_utils.config_diff(old, old) == []


def test_check_resume_refuses_a_difference_unless_told(tmp_path):
    assert gin_utils.check_resume(str(tmp_path), "X = 1\n") == []
    (tmp_path / "config.gin").write_text("X = 1\n")
    assert gin_utils.check_resume(str(tmp_path), "X = 1  # the same\n") == []
    with pytest.raises(ConfigError, match="X: 1 -> 2") as caught:
        gin_utils.check_resume(str(tmp_path), "X = 2\n")
    assert "--allow_config_change" in str(caught.value)
    assert gin_utils.check_resume(str(tmp_path), "X = 2\n", True) == ["X: 1 -> 2"]
    (tmp_path / "config.gin").write_text("X = = 1\n")
    with pytest.raises(ConfigError, match="config"):
        gin_utils.check_resume(str(tmp_path), "X = 2\n")


def test_config_hash_is_of_the_text():
    assert gin_utils.config_hash("a") != gin_utils.config_hash("b")
    assert len(gin_utils.config_hash("a")) == 64


@pytest.mark.parametrize("value", [1, -1.5, 1e-30, True, None, "it's", ("a", 1), [1, {"k": (2,)}]])
def test_literals_are_recognised(value):
    assert gin_source.is_literal(value)
    assert gin_source.parse_value(repr(value)) == value


@pytest.mark.parametrize("value", [float("inf"), float("nan"), object(), int, {1}, 1 + 2j])
def test_other_objects_are_not_literals(value):
    assert not gin_source.is_literal(value)


def test_registering_imports_neither_tensorflow_nor_seqio():
    code = (
        "import sys, flan_jax.configurables\n"
        "print(sorted({'tensorflow', 'seqio', 'clu', 't5'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_module_with_a_configurable_is_registered():
    root = pathlib.Path(configurables.__file__).parent
    missing = [
        ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
        for package in ("flan_jax", "tasks")
        for path in (root.parent / package).rglob("*.py")
        if "\n@gin.configurable(" in path.read_text(encoding="utf-8")
    ]
    assert set(missing) - set(configurables.MODULES) == set()
