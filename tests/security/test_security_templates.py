"""Templates from others reach nothing but the texts of the row."""

import datetime
import pathlib

import jinja2
import numpy as np
import pytest

from flan_jax.errors import ConfigError, DataError
from flan_jax.prompts import Template
from flan_jax.prompts.promptsource import PromptTemplate, Rendered, read_templates

# Each reaches Python's objects or runs a command where there is no sandbox, as a test below shows.
ATTACKS = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'].__base__.__subclasses__() }}",
    "{{ (''|attr('__class__')).__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.system('touch ran') }}",
    "{{ joiner.__init__.__globals__['os'].system('touch ran') }}",
    "{{ namespace.__init__.__globals__.__builtins__.open('ran', 'w').close() }}",
    "{{ self.__init__.__globals__.__builtins__.open('ran', 'w').close() }}",
    "{{ self._TemplateReference__context.environment.from_string('x').render() }}",
    "{{ range.__class__.__subclasses__(range.__class__) }}",
    "{{ items.append.__self__.__class__.__base__.__subclasses__() }}",
    "{{ (items|map(attribute='__class__')|list)[0].__base__.__subclasses__() }}",
    "{{ (items|map('attr', '__class__')|first).__base__.__subclasses__() }}",
    "{{ dict.__class__('X', (), {})() }}",
    "{{ range(200000)|list|length }}",
]
# What other files of templates would be read by.
STATEMENTS = [
    "{% include 'ran' %}",
    "{% import 'ran' as x %}",
    "{% from 'ran' import x %}",
    "{% extends 'ran' %}",
]
ROW = {"text": "a", "items": ["b"]}


@pytest.mark.parametrize("attack", ATTACKS + STATEMENTS)
@pytest.mark.parametrize("where", ["text", "choices"])
def test_attacks_end_in_an_error_of_the_data(attack, where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    template = (attack + " ||| x", None) if where == "text" else ("{{text}} ||| x", attack)
    with pytest.raises(DataError, match="cannot be rendered"):
        PromptTemplate("t", *template).render(ROW)
    assert not pathlib.Path("ran").exists()


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_same_attacks_succeed_without_a_sandbox(attack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jinja2.Environment().from_string(attack).render(ROW)
    assert pathlib.Path("ran").exists() == ("'ran'" in attack or "touch ran" in attack)


def test_choices_that_are_always_the_same_are_rendered_in_the_sandbox_too():
    template = PromptTemplate("t", "{{text}} ||| x", ATTACKS[0])
    with pytest.raises(DataError, match="answer choices cannot be rendered"):
        print(template.fixed_choices)


def test_what_a_format_shows_of_a_value_is_nothing_of_python():
    # Jinja's own sandbox formats with the same rules as it reads attributes.
    for text in ("{{ '{0.__class__}'.format(text) }}", "{{ '%s' % text.__class__ }}"):
        found = PromptTemplate("t", f"a{text} ||| x").render({"text": "b"})
        assert found == Rendered("a", "x", None)


def test_rows_are_plain_values_that_can_write_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for method in ("tofile", "dump"):
        template = PromptTemplate("t", f"{{{{ numbers.{method}('ran') }}}} ||| x")
        with pytest.raises(DataError):
            template.render({"numbers": np.arange(3)})
    with pytest.raises(DataError, match="holds a PosixPath"):
        PromptTemplate("t", "{{ path.unlink() }} ||| x").render({"path": tmp_path / "kept"})
    assert not pathlib.Path("ran").exists()
    row = {"n": np.int64(3), "of": np.arange(2), "day": datetime.date(2020, 1, 2)}
    shown = PromptTemplate("t", "{{n}} {{of}} {{day}} ||| x").render(row)
    assert shown == Rendered("3 [0, 1] 2020-01-02", "x", None)


def test_a_template_cannot_change_the_row():
    row = {"items": ["a"], "text": "t"}
    PromptTemplate("t", "{{ items.append('b') }}{{text}} ||| x").render(row)
    assert row == {"items": ["a"], "text": "t"}


def test_yaml_makes_no_objects(tmp_path):
    attack = "dataset: !!python/object/apply:os.system ['touch ran']\ntemplates: {}\n"
    path = tmp_path / "templates.yaml"
    for tag in ("object/apply:os.system", "name:os.system", "object/new:os.system"):
        path.write_text(attack.replace("object/apply:os.system", tag))
        read_templates.cache_clear()
        with pytest.raises(DataError, match="not YAML of PromptSource's kind"):
            read_templates(path)
    assert not pathlib.Path("ran").exists()


@pytest.mark.parametrize(
    "pattern", ["{text.__class__}", "{text[0]}", "{text!r}", "{0}", "{text:>99}", "{__init__.x}"]
)
def test_our_own_templates_take_names_of_fields_alone(pattern):
    with pytest.raises(ConfigError, match="not a field name"):
        Template(pattern, "{answer}")


def test_a_field_that_looks_like_a_pattern_stays_text():
    row = {"text": "{answer} {0.__class__} {{x}}", "answer": "yes"}
    assert Template("Q: {text}", "{answer}").render(row)["inputs"] == f"Q: {row['text']}"
