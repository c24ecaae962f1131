"""Every entry of FLAN 2021: published counts, wordings, processing, renderings, TFDS's features."""

import collections
import importlib
import pathlib
import random
import re

import numpy as np
import pytest
import seqio
import tensorflow as tf
from published_counts import COUNTS

from flan_jax.prompts import graph, lost_characters
from tasks.flan2021 import build, clusters, datasets, rows, sources
from tasks.flan2021.dataset import Dataset
from tasks.flan2021.variants import Variant, variants_of
from tasks.settings import Flan2021

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "golden" / "flan2021"
NAMES = list(datasets.DATASETS)
# Words that would speak of a block which the variant without options does not have.
OPTION_WORDS = re.compile(r"\b(options?|choices?|choose|select|pick|listed|below)\b", re.IGNORECASE)
# Labels that TFDS declares as numbers without a range, for which its mocks draw any number.
RANDOM_LABELS = ("story_cloze", "wsc273")
NOT_IN_T5 = set("{}<>~^\\`\t")


def rows_module(name: str):
    files = pathlib.Path(__file__).parent / "rows"
    for path in sorted(files.glob("*.py")):
        module = importlib.import_module(f"rows.{path.stem}")
        if name in module.ROWS:
            return module
    raise AssertionError(f"no test rows for {name}")


def to_tensors(value):
    if isinstance(value, dict):
        return {key: to_tensors(item) for key, item in value.items()}
    if isinstance(value, list) and not value:
        return tf.constant([], tf.string)
    if isinstance(value, list) and isinstance(value[0], list):
        return tf.ragged.constant(value)
    first = value[0] if isinstance(value, list) else value
    whole = isinstance(first, int) and not isinstance(first, bool)
    return tf.constant(value, tf.int64 if whole else None)


def to_python(value):
    value = value.numpy()
    if isinstance(value, np.ndarray):
        return [item.decode() if isinstance(item, bytes) else item for item in value.tolist()]
    return value.decode() if isinstance(value, bytes) else value.item()


def fields_of(dataset: Dataset, processed: dict) -> dict:
    """Adds the options block, as the fixed renderer gives it."""
    if not dataset.has_options:
        return processed
    block = "OPTIONS:" + "".join(f"\n- {option}" for option in processed["options"])
    return {**processed, "options_": block}


def test_every_published_task_is_there():
    assert set(NAMES) == set(COUNTS)
    assert len(NAMES) == 70
    paper = {d.paper_name for d in datasets.DATASETS.values() if d.paper_name}
    assert len(paper) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_published_counts(name):
    dataset = datasets.DATASETS[name]
    canonical, others, with_options = COUNTS[name]
    templates = dataset.templates()
    assert len(templates) == 10
    assert sum(not template.inverts for template in templates) == canonical
    found = collections.Counter(
        frozenset(template.target_pattern.fields) for template in templates if template.inverts
    )
    expected = {frozenset(fields.split("+")): count for fields, count in others.items()}
    assert found == expected
    shown = [template for template in templates if "options_" in template.input_pattern.fields]
    assert len(shown) == with_options
    assert not any(template.inverts for template in shown)


@pytest.mark.parametrize("name", NAMES)
def test_wordings(name):
    dataset = datasets.DATASETS[name]
    templates = dataset.templates()
    openings = collections.Counter()
    for template in templates:
        text = "".join(template.input_pattern.literals)
        assert text.isascii() and not NOT_IN_T5 & set(text), template.name
        assert template.inputs == template.inputs.strip(), template.name
        assert set(template.fields) <= {*dataset.fields, "options_"}, template.name
        openings[" ".join(template.inputs.split()[:3])] += 1
        if "options_" in template.input_pattern.fields:
            assert not OPTION_WORDS.search(text), template.inputs
            assert re.search(r"(\A|\n)\{options_\}(\Z|\n)", template.inputs), template.inputs
            bare = build.without_options(template)
            assert "options_" not in bare.fields
            assert bare.inputs == bare.inputs.strip()
    assert max(openings.values()) <= 2, openings
    words = {
        (template.targets, *sorted(set(re.findall(r"\w+", template.inputs.lower()))))
        for template in templates
    }
    assert len(words) == 10, "two wordings are of the same words"


def test_no_two_data_sets_share_a_wording_by_accident():
    """Only views of the same kind of row have the same ten wordings."""
    owners = collections.defaultdict(set)
    for dataset in datasets.DATASETS.values():
        for template in dataset.templates():
            owners[template.inputs, template.targets].add(id(dataset.wordings))
    assert all(len(keys) == 1 for keys in owners.values())
    keys = {id(dataset.wordings) for dataset in datasets.DATASETS.values()}
    assert len(keys) == 61


@pytest.mark.parametrize("name", NAMES)
def test_processing(name):
    dataset, module = datasets.DATASETS[name], rows_module(name)
    assert len(module.ROWS[name]) == len(module.PROCESSED[name]) >= 2
    for raw, expected in zip(module.ROWS[name], module.PROCESSED[name], strict=True):
        row = to_tensors(raw)
        if dataset.keep is not None:
            assert bool(dataset.keep(row))
        found = {key: to_python(value) for key, value in dataset.process(row).items()}
        assert found == expected
        assert {*dataset.fields, *dataset.kept} <= set(found)
        if dataset.options is not None:
            assert tuple(found["options"]) == dataset.options
    for raw in getattr(module, "DROPPED", {}).get(name, ()):
        assert dataset.keep is not None
        assert not bool(dataset.keep(to_tensors(raw)))


@pytest.mark.parametrize("name", NAMES)
def test_processing_many_rows_at_once(name):
    dataset, module = datasets.DATASETS[name], rows_module(name)
    # Dropped ones in between.
    raw = [*getattr(module, "DROPPED", {}).get(name, ()), *module.ROWS[name]]
    columns = sources.unflatten(sources.to_columns(raw, name))
    found = rows.process_rows(dataset, columns)
    expected = module.PROCESSED[name]
    for field, values in found.items():
        plain = values.to_list() if isinstance(values, tf.RaggedTensor) else values.numpy().tolist()
        assert [decoded(value) for value in plain] == [row[field] for row in expected], field


def decoded(value):
    if isinstance(value, list):
        return [decoded(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def render_all(name: str) -> str:
    """The first test row in every wording, rendered in Python."""
    dataset = datasets.DATASETS[name]
    row = fields_of(dataset, rows_module(name).PROCESSED[name][0])
    parts = []
    for template in dataset.templates():
        found = template.render(row)
        parts.append(f"=== {template.name}\n{found['inputs']}\n---\n{found['targets']}\n")
    return "".join(parts)


@pytest.mark.parametrize("name", NAMES)
def test_prompts_without_an_instruction_hold_each_input_once_and_no_answer(name):
    dataset = datasets.DATASETS[name]
    (template,) = build.variant_templates(dataset, Variant(prompt="no_template"))
    shown = template.input_pattern.fields
    assert shown and not {field for field in shown if field.startswith("answer")}
    for row in rows_module(name).PROCESSED[name]:
        values = [row[field] for field in shown]
        assert len(set(values)) == len(values)
        target = template.target_pattern.render(row)
        assert target not in template.input_pattern.render(row).split("\n")


@pytest.mark.parametrize("name", NAMES)
def test_golden_renderings(name):
    """`python tests/golden/make_flan2021_golden.py` writes the files again."""
    assert render_all(name) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_python_and_graph_render_alike(name):
    dataset = datasets.DATASETS[name]
    draw = random.Random(name)
    alphabet = "abc XYZ.,{}\n\t'\"ü漢0"
    count = 1000
    fields = {
        field: ["".join(draw.choices(alphabet, k=draw.randrange(12))) for _ in range(count)]
        for field in (*dataset.fields, "options_")
    }
    templates = dataset.templates()
    which = [draw.randrange(len(templates)) for _ in range(count)]
    for part in ("input_pattern", "target_pattern"):
        patterns = [getattr(template, part) for template in templates]
        found = tf.function(graph.compile_patterns(patterns))(
            {field: tf.constant(values) for field, values in fields.items()}, tf.constant(which)
        )
        for i, text in enumerate(found.numpy().tolist()):
            row = {field: values[i] for field, values in fields.items()}
            assert text.decode() == patterns[which[i]].render(row)


def test_what_the_t5_vocabulary_loses(shared_data):
    """Of all wordings nothing but newlines, which come back as blanks."""
    vocabulary = seqio.SentencePieceVocabulary(str(shared_data / "t5_vocab" / "spiece.model"))
    lost = {
        template.name: characters
        for dataset in datasets.DATASETS.values()
        for template in dataset.templates()
        if (characters := lost_characters("x".join(template.input_pattern.literals), vocabulary))
    }
    assert set(sum(lost.values(), ())) <= {"\n"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_builds_on_the_builders_features(name, tmp_path, monkeypatch):
    """The whole task, with random rows of the TFDS builder's features."""
    import tensorflow_datasets as tfds

    # Mocked builders have rows, but do not know how many.
    monkeypatch.setattr(sources.PreparedSource, "num_input_examples", lambda self, split: None)
    dataset = datasets.DATASETS[name]
    vocabulary = seqio.ByteVocabulary()
    builder = build.Builder(dataset, Flan2021(tfds_data_dir=str(tmp_path)), lambda: vocabulary)
    split = next(iter(dataset.splits))
    with tfds.testing.mock_data(num_examples=2):
        task = seqio.Task("mocked", **builder.arguments(Variant()))
        read = task.get_dataset(
            {"inputs": 512, "targets": 64},
            split=split,
            shuffle=False,
            num_epochs=1,
            trim_output_features=False,
        )
        if name in RANDOM_LABELS:
            read = read.ignore_errors()
        found = list(read.as_numpy_iterator())
    assert read.element_spec["inputs"].dtype == tf.int32
    if dataset.keep is None and name not in RANDOM_LABELS:
        assert len(found) == 2
    for row in found:
        assert row["inputs"][-1] == vocabulary.eos_id
        assert 0 <= row["template_id"] < 10


def test_variants_have_one_name_each():
    names = [
        variant.task_name(dataset.name)
        for dataset in datasets.DATASETS.values()
        for variant in variants_of(dataset)
    ]
    assert len(set(names)) == len(names) > 10_000
    assert "flan2021_rte_type_8_multi_shot_no_options_scoring_eval" in names
    # RTE's tenth wording asks for the premise and the hypothesis.
    assert "flan2021_rte_type_9" not in names
    assert "flan2021_wsc273_10templates_5_shot" not in names


def test_clusters_hold_every_task_once():
    tasks = clusters.all_tasks()
    assert len(tasks) == len(set(tasks)) == 69
    assert {clusters.cluster_of(name) for name in NAMES} == set(clusters.CLUSTERS)
