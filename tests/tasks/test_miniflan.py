"""MiniFLAN's operations, division and examples, without seqio."""

import collections
import random

import pytest

from flan_jax.errors import ConfigError
from tasks.miniflan import Settings, worlds
from tasks.miniflan.examples import (
    VARIANTS,
    draw_options,
    draw_wording,
    generate,
    render,
    vocabulary_words,
)
from tasks.miniflan.operations import BY_NAME, OPERATIONS, run

WRITTEN = {
    "reverse": ("cat 7 red", "red 7 cat"),
    "rotate": ("cat 7 red", "7 red cat"),
    "swap_ends": ("cat 7 red fig", "fig 7 red cat"),
    "drop_first": ("cat 7 red", "7 red"),
    "drop_last": ("cat 7 red", "cat 7"),
    "keep_first": ("cat 7 red", "cat"),
    "keep_last": ("cat 7 red", "red"),
    "double_first": ("cat 7 red", "cat cat 7 red"),
    "capitals": ("cat 7 red", "CAT 7 RED"),
    "count_up": ("cat 7 9", "cat 8 0"),
    "young": ("cat 7 COW", "kitten 7 CALF"),
    "cook": ("plum 7 FIG cat", "jam 7 JAM cat"),
    "mix": ("red 7 BLUE cat", "paint 7 PAINT cat"),
    "spell": ("cat 7 0", "cat seven zero"),
}
SINGLES = tuple((operation.name,) for operation in OPERATIONS)


@pytest.fixture(scope="module")
def world():
    return worlds.make_world()


@pytest.mark.parametrize("name", BY_NAME)
def test_an_operation_does_what_is_written_here(name):
    before, after = WRITTEN[name]
    assert BY_NAME[name].apply(tuple(before.split())) == tuple(after.split())


def test_a_composition_runs_left_to_right_and_rejects_steps_without_effect():
    assert run(("drop_first", "reverse"), ("cat", "7", "red")) == [("7", "red"), ("red", "7")]
    assert run(("reverse", "drop_first"), ("cat", "7", "red"))[-1] == ("7", "cat")
    assert run(("cook",), ("cat", "7")) is None
    assert run(("drop_first",), ("cat",)) is None
    assert run(("reverse", "reverse"), ("cat", "7")) is None


def test_there_are_as_many_operations_phrasings_and_compositions_as_promised():
    assert len(OPERATIONS) >= 12
    assert len(worlds.compositions()) >= 130
    phrasings = [phrasing for operation in OPERATIONS for phrasing in operation.phrasings]
    assert len(phrasings) == len(set(phrasings))
    assert min(len(operation.phrasings) for operation in OPERATIONS) >= 4
    assert len(vocabulary_words()) == len(set(vocabulary_words())) < 381


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_division_covers_every_composition_once(seed):
    world = worlds.make_world(seed)
    parts = [*world.seen, *world.unseen, *world.held_out_cluster]
    assert sorted(parts) == sorted(worlds.compositions())
    assert len(world.unseen) >= 20
    assert {worlds.cluster_of(c) for c in world.held_out_cluster} == {*worlds.HELD_OUT_CLUSTERS}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_trained_does_what_a_held_out_composition_does(seed):
    world = worlds.make_world(seed)
    # Lists of its own, so that the test does not repeat the comparison of `do_the_same`.
    rng = random.Random(99)
    lists = [worlds.random_list(rng) for _ in range(600)]
    answers = {
        c: [(states[-1] if (states := run(c, words)) else None) for words in lists]
        for c in (*worlds.compositions(), *SINGLES)
    }
    for held_out in (*world.unseen, *world.held_out_cluster):
        for trained in (*world.seen, *SINGLES):
            pairs = [
                (a, b)
                for a, b in zip(answers[held_out], answers[trained], strict=True)
                if a is not None and b is not None
            ]
            # No list to compare on means that the two never answer the same prompt.
            assert not pairs or any(a != b for a, b in pairs), (held_out, trained)


def test_fewer_training_tasks_are_a_part_and_leave_the_held_out_alone(world):
    few, more = worlds.make_world(0, 10), worlds.make_world(0, 40)
    assert len(few.seen) == 10
    assert few.seen == more.seen[:10] == world.seen[:10]
    assert few.unseen == more.unseen == world.unseen
    assert few.held_out_wordings == world.held_out_wordings


def test_every_held_out_wording_is_made_of_parts_that_training_shows(world):
    shown = collections.Counter()
    rng = random.Random(0)
    for _ in range(20_000):
        composition = rng.choice(world.seen)
        frame, phrasings = draw_wording(rng, world, composition, held_out=False)
        assert not world.is_held_out(composition, (frame, phrasings))
        for position, (name, phrasing) in enumerate(zip(composition, phrasings, strict=True)):
            shown[(frame, position)] += 1
            shown[(position, name, phrasing)] += 1
    for frame, position, name, phrasing in world.held_out_wordings:
        assert shown[(frame, position)]
        assert shown[(position, name, phrasing)]


def test_training_and_evaluation_share_no_text_no_list_and_no_held_out_wording(world):
    trained = [
        example
        for pool, variant in (
            (SINGLES, "direct"),
            *((world.seen, variant) for variant in ("direct", "choice", "worked")),
        )
        for example in generate(world, pool, 4000, 0, variant=variant)
    ]
    texts = {example["inputs"] for example in trained}
    lists = {_list_of(example["inputs"]) for example in trained}
    compositions = {example["composition"] for example in trained}
    instructions = {example["inputs"].partition(" : ")[0] for example in trained}
    evaluations = {
        "seen": generate(world, world.seen, 500, 1, evaluation=True),
        "unseen": generate(world, world.unseen, 500, 1, evaluation=True),
        "cluster": generate(world, world.held_out_cluster, 500, 1, evaluation=True),
        "phrasing": generate(world, world.seen, 500, 1, evaluation=True, held_out_wording=True),
    }
    for name, examples in evaluations.items():
        assert not texts & {example["inputs"] for example in examples}, name
        assert not lists & {_list_of(example["inputs"]) for example in examples}, name
    for name in ("unseen", "cluster"):
        assert not compositions & {example["composition"] for example in evaluations[name]}
    said = {example["inputs"].partition(" : ")[0] for example in evaluations["phrasing"]}
    assert not instructions & said


@pytest.mark.parametrize("seed", range(20))
def test_every_composition_can_be_said_both_ways_whatever_the_seed(seed):
    world = worlds.make_world(seed)
    # A composition without a held-out wording would make drawing one endless.
    for composition in worlds.compositions():
        wordings = [
            (frame, (first, second))
            for frame in range(len(worlds.FRAMES[2]))
            for first in range(4)
            for second in range(4)
        ]
        assert {world.is_held_out(composition, wording) for wording in wordings} == {True, False}


def test_examples_depend_on_the_seed_alone(world):
    def texts(seed):
        return [example["inputs"] for example in generate(world, world.seen, 50, seed)]

    assert texts(3) == texts(3)
    assert texts(3) != texts(4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_word_is_in_the_vocabulary_and_rows_fit_the_recipe(variant, world):
    known = set(vocabulary_words())
    for pool in (world.seen, world.unseen, world.held_out_cluster, SINGLES):
        for held_out in (False, True) if pool is not SINGLES else (False,):
            for example in generate(
                world, pool, 400, 5, variant=variant, held_out_wording=held_out
            ):
                assert {*example["inputs"].split(), *example["targets"].split()} <= known
                assert len(example["inputs"].split()) < 64
                assert len(example["targets"].split()) < 32


def test_variants_render_as_documented():
    composition, wording, words = ("reverse", "keep_first"), (1, (1, 2)), ("cat", "7", "red")
    assert render(composition, wording, words) == {
        "inputs": "first flip next pick first : cat 7 red",
        "targets": "red",
    }
    assert render(composition, wording, words, "worked") == {
        "inputs": "first flip next pick first step by step : cat 7 red",
        "targets": "red 7 cat -> red",
    }
    options = [("red",), ("cat",)]
    assert render(composition, wording, words, "choice", options) == {
        "inputs": "first flip next pick first : cat 7 red options ; red ; cat",
        "targets": "red",
    }
    task_id = render(composition, wording, words, "task_id")["inputs"].split()
    assert task_id[1:] == [":", "cat", "7", "red"]
    assert not {"flip", "pick", "first"} & set(task_id)


def test_options_hold_the_answer_once_in_any_place(world):
    places = collections.Counter()
    for example in generate(world, world.seen, 600, 0, variant="choice"):
        options = example["options"]
        assert len(set(options)) == 3
        places[options.index(example["targets"])] += 1
    assert min(places.values()) > 150


def test_short_lists_have_enough_wrong_options():
    rng = random.Random(0)
    for composition in worlds.compositions():
        for words in (("cat", "7"), ("plum", "9"), ("red", "fig")):
            states = run(composition, words)
            if states:
                assert len(draw_options(rng, composition, words, states[-1])) == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"num_training_tasks": 0},
        {"num_training_tasks": 10_000},
        {"single_share": 0.0},
        {"choice_share": 0.9},
        {"pool": 0},
        {"eval_examples": 0},
    ],
)
def test_settings_that_no_run_could_use_are_refused(settings):
    with pytest.raises(ConfigError, match="miniflan.Settings"):
        Settings(**settings)


def _list_of(inputs):
    return inputs.partition(" : ")[2].partition(" options ")[0]
