"""Objectives against T5's rules written again in NumPy, and against the text they came from."""

import collections
import pathlib

import numpy as np
import pytest
import seqio
import tensorflow as tf

from flan_jax.data import objectives
from flan_jax.data.objectives_denoisers import (
    LM_SPLIT,
    T5_SPANS,
    UL2,
    UL2R,
    PrefixSplit,
    Share,
    SpanCorruption,
    text_length,
)
from flan_jax.errors import ConfigError

EOS = 1
# Bytes are 3 to 258; sentinels count down from 658.
VOCABULARY = seqio.ByteVocabulary(extra_ids=400)
FIRST_SENTINEL = VOCABULARY.vocab_size - 1
LONG = {"inputs": 512, "targets": 512}


def features(*names, vocabulary=VOCABULARY, add_eos=True):
    names = names or ("inputs", "targets")
    return {name: seqio.Feature(vocabulary, add_eos=add_eos) for name in names}


def documents_of(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(3, 259, size=length, dtype=np.int32) for length in lengths]


def dataset_of(documents):
    flat = np.concatenate(documents)
    ragged = tf.RaggedTensor.from_row_lengths(flat, [len(one) for one in documents])
    return tf.data.Dataset.from_tensor_slices({"targets": ragged})


def run(objective, texts, lengths, seed=0, output_features=None, **settings):
    """Rows after EOS, as a task with the objective gives them."""
    output_features = output_features or features()
    with seqio.map_seed_manager(seed):
        rows = objective(dataset_of(texts), lengths, output_features, **settings)
    rows = seqio.preprocessors.append_eos(rows, output_features)
    return list(rows.as_numpy_iterator())


def denoise(texts, shares, lengths=LONG, seed=0, **settings):
    return run(objectives.denoise, texts, lengths, seed, shares=shares, **settings)


def rebuild(inputs, targets, denoiser, mode=()):
    """The text of a row, from its two sides without EOS."""
    assert tuple(inputs[: len(mode)]) == tuple(mode)
    inputs = inputs[len(mode) :]
    if isinstance(denoiser, PrefixSplit):
        return [*inputs, *targets]
    spans, sentinels = {}, []
    for token in targets:
        if token > 258:
            sentinels.append(token)
            spans[token] = []
        else:
            spans[sentinels[-1]].append(token)
    assert sentinels == list(range(FIRST_SENTINEL, FIRST_SENTINEL - len(sentinels), -1))
    assert [token for token in inputs if token > 258] == sentinels
    text = []
    for token in inputs:
        text += spans[token] if token > 258 else [token]
    return text


def texts_of(rows, shares):
    made = []
    for row in rows:
        share = shares[row["denoiser"]]
        mode = tuple(VOCABULARY.encode(share.mode))
        assert row["inputs"][-1] == row["targets"][-1] == EOS
        made.append(rebuild(row["inputs"][:-1], row["targets"][:-1], share.denoiser, mode))
    return made


# --------------------------------------------------------------------------- T5's rules in NumPy


def t5_counts(tokens, density, mean_span):
    """Hidden tokens and spans of a text, in 32-bit floats as T5 counts them."""
    tokens = max(tokens, 2)
    hidden = int(np.round(np.float32(tokens) * np.float32(density)))
    hidden = min(max(hidden, 1), tokens - 1)
    spans = int(np.round(np.float32(hidden) / np.float32(mean_span)))
    return hidden, max(spans, 1)


def t5_lengths(input_length, density, mean_span):
    """Tokens of text and of targets for inputs of a length, EOS counted, by trying them all."""
    fitting = []
    for tokens in range(2, 4 * input_length):
        hidden, spans = t5_counts(tokens, density, mean_span)
        if tokens - hidden + spans + 1 <= input_length:
            fitting.append((tokens, hidden + spans + 1))
    return max(fitting)


@pytest.mark.parametrize(
    "input_length, text, targets", [(512, 568, 114), (1024, 1137, 229), (128, 141, 29)]
)
def test_the_text_that_fills_t5s_inputs(input_length, text, targets):
    assert t5_lengths(input_length, 0.15, 3.0) == (text, targets)
    assert text_length(T5_SPANS, input_length - 1, targets - 1) == text
    rows = run(
        objectives.span_corruption,
        documents_of([3 * text]),
        {"inputs": input_length, "targets": targets},
    )
    assert [(len(row["inputs"]), len(row["targets"])) for row in rows] == 3 * [
        (input_length, targets)
    ]


@pytest.mark.parametrize("density, mean_span", [(0.15, 3), (0.15, 8), (0.5, 3), (0.3, 1.5)])
def test_counts_are_t5s_for_every_length(density, mean_span):
    sizes = range(2, 400)
    shares = [Share(SpanCorruption("any", mean_span, density))]
    rows = denoise(documents_of(sizes), shares, documents=1)
    for size, row in zip(sizes, rows, strict=True):
        hidden, spans = t5_counts(size, density, mean_span)
        if spans > size - hidden:
            continue  # T5 cannot cut the kept tokens into so many spans.
        assert len(row["inputs"]) == size - hidden + spans + 1
        assert len(row["targets"]) == hidden + spans + 1


def test_all_masks_are_equally_likely():
    # 7 tokens, 3 hidden, in 2 spans: 3 ways to part those that stay, 2 for those that go.
    shares = [Share(SpanCorruption("any", 1.5, 0.4))]
    rows = denoise(documents_of(1500 * [7]), shares, documents=1)
    seen = collections.Counter(tuple(row["inputs"] > 258) + (len(row["inputs"]),) for row in rows)
    masks = collections.Counter()
    for row in rows:
        kept = np.split(row["inputs"], np.flatnonzero(row["inputs"] > 258))
        gone = np.split(row["targets"], np.flatnonzero(row["targets"] > 258))[1:]
        masks[len(kept[0]), len(gone[0])] += 1
    assert len(masks) == 6 and len(seen) == 3
    chi_square = sum((count - 250) ** 2 / 250 for count in masks.values())
    assert chi_square < 20.5  # 5 degrees of freedom: exceeded by chance once in 1,000.


# ------------------------------------------------------------------------------------ the text


@pytest.mark.parametrize(
    "shares, lengths, seed",
    [
        ([Share(T5_SPANS)], {"inputs": 64, "targets": 64}, 0),
        ([Share(LM_SPLIT)], {"inputs": 33, "targets": 40}, 1),
        (UL2R, {"inputs": 200, "targets": 200}, 2),
        (UL2, {"inputs": 300, "targets": 300}, 3),
    ],
)
@pytest.mark.parametrize("documents", [1, 5])
def test_inputs_and_targets_give_back_the_text(shares, lengths, seed, documents):
    rng = np.random.default_rng(seed)
    given = documents_of(rng.integers(0, 900, size=40), seed)
    rows = denoise(given, shares, lengths, seed, documents=documents)
    for row in rows:
        assert len(row["inputs"]) <= lengths["inputs"]
        assert len(row["targets"]) <= lengths["targets"]
    whole = [one for one in given if len(one)]
    groups = [
        np.concatenate(whole[i : i + documents]).tolist() for i in range(0, len(whole), documents)
    ]
    texts = texts_of(rows, shares)
    for group in groups:
        back = []
        # A last token that is alone in its piece is dropped.
        while len(group) - len(back) > 1:
            back += texts.pop(0)
        assert back == group[: len(back)]
    assert not texts


def test_zero_is_an_ordinary_token():
    document = np.array([0, 7, 0, 0, 9, 0, 8, 0], np.int32)
    (row,) = denoise([document], [Share(T5_SPANS)])
    assert rebuild(row["inputs"][:-1], row["targets"][:-1], T5_SPANS) == document.tolist()


def test_a_long_document_gives_one_aligned_chunk():
    document = np.arange(95, dtype=np.int32)
    with seqio.map_seed_manager(0):
        rows = objectives.random_chunk(dataset_of(400 * [document]), most=30)
    starts = collections.Counter()
    for row in rows.as_numpy_iterator():
        tokens = row["targets"].tolist()
        assert len(tokens) == (5 if tokens[0] == 90 else 30)
        assert tokens == list(range(tokens[0], tokens[0] + len(tokens)))
        starts[tokens[0]] += 1
    assert set(starts) == {0, 30, 60, 90}
    assert sum((count - 100) ** 2 / 100 for count in starts.values()) < 16.3  # p = 0.001


# ------------------------------------------------------------------------------------ prefix LM


def test_prefix_splits_are_uniform():
    documents = [np.arange(3, 12, dtype=np.int32)] * 1600
    rows = run(objectives.prefix_lm, documents, LONG)
    counts = collections.Counter(len(row["inputs"]) - 1 for row in rows)
    assert set(counts) == set(range(1, 9))
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 24.3  # p = 0.001
    assert all([*row["inputs"][:-1], *row["targets"][:-1]] == [*range(3, 12)] for row in rows)


def test_lm_adaptation_cuts_documents_at_the_inputs_length():
    rows = run(objectives.prefix_lm, documents_of([1000, 300]), {"inputs": 512, "targets": 512})
    assert [len(row["inputs"]) + len(row["targets"]) - 2 for row in rows] == [511, 489, 300]


def test_a_smaller_share_of_targets():
    shares = [Share(PrefixSplit("s", 0.25))]
    rows = denoise(documents_of(1000 * [41]), shares, documents=1)
    targets = np.array([len(row["targets"]) - 1 for row in rows])
    assert targets.min() == 1 and targets.max() == 21
    assert abs(targets.mean() - 11) < 0.6


# ------------------------------------------------------------------------------------ causal LM


def test_causal_rows_are_the_text_with_eos_between_documents():
    documents = documents_of([50, 1, 0, 7, 300])
    rows = run(
        objectives.causal_lm,
        documents,
        {"targets": 64},
        output_features=features("targets", add_eos=False),
    )
    assert [set(row) for row in rows] == len(rows) * [{"targets"}]
    text = [token for one in documents if len(one) for token in [*one.tolist(), EOS]]
    assert np.concatenate([row["targets"] for row in rows]).tolist() == text
    assert [len(row["targets"]) for row in rows] == 5 * [64] + [len(text) - 5 * 64]


def test_causal_refuses_features_that_would_get_a_second_eos():
    for given in (features("targets"), features(add_eos=False)):
        with pytest.raises(ConfigError, match="causal_lm makes 'targets' alone"):
            run(objectives.causal_lm, documents_of([9]), LONG, output_features=given)


# ----------------------------------------------------------------------------------------- UL2R


@pytest.fixture(scope="module")
def ul2r_rows():
    """10,000 rows of the recipe's lengths."""
    lengths = {"inputs": 1024, "targets": 1024}
    rows = run(objectives.ul2r, documents_of(178 * [65_536]), lengths, seed=7)
    assert len(rows) >= 10_000
    return rows[:10_000]


def of_denoiser(rows, name):
    index = [share.denoiser.name for share in UL2R].index(name)
    return [row for row in rows if row["denoiser"] == index]


def test_ul2r_rates(ul2r_rows):
    counts = np.bincount([row["denoiser"] for row in ul2r_rows])
    # R 25%, X 25% in two halves, S 50%.
    np.testing.assert_allclose(counts / 10_000, [0.25, 0.125, 0.125, 0.5], rtol=0.01)


@pytest.mark.parametrize(
    "name, density, mean_span", [("r", 0.15, 3), ("x_long", 0.15, 32), ("x_dense", 0.5, 3)]
)
def test_ul2r_spans(ul2r_rows, name, density, mean_span):
    hidden = spans = kept = 0
    for row in of_denoiser(ul2r_rows, name):
        markers = int((row["targets"] > 258).sum())
        spans += markers
        hidden += len(row["targets"]) - 1 - markers
        kept += len(row["inputs"]) - 1 - markers - len("[NLU]")
    assert hidden / (hidden + kept) == pytest.approx(density, rel=0.01)
    assert hidden / spans == pytest.approx(mean_span, rel=0.01)


def test_ul2r_splits(ul2r_rows):
    shares = [
        (len(row["inputs"]) - 6) / (len(row["inputs"]) + len(row["targets"]) - 7)
        for row in of_denoiser(ul2r_rows, "s")
    ]
    assert np.mean(shares) == pytest.approx(0.5, rel=0.01)
    np.testing.assert_allclose(np.quantile(shares, [0.1, 0.25, 0.9]), [0.1, 0.25, 0.9], atol=0.02)


def test_ul2r_rows_fill_their_lengths(ul2r_rows):
    for name, longest, slack in (("r", 1024, 0), ("x_long", 1024, 1), ("x_dense", 1024, 0)):
        lengths = np.array([len(row["inputs"]) for row in of_denoiser(ul2r_rows, name)])
        assert lengths.max() == longest
        # All but the last pieces of two groups of documents.
        assert (lengths < longest - slack).sum() <= 2
    assert max(len(row["targets"]) for row in ul2r_rows) <= 1024


def test_rates_hold_in_groups_of_a_few_pieces():
    # Each document alone gives one piece, from the first draw of its group.
    rows = denoise(documents_of(1500 * [30]), UL2R, documents=1)
    counts = np.bincount([row["denoiser"] for row in rows])
    expected = 1500 * np.array([0.25, 0.125, 0.125, 0.5])
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # p = 0.001


def test_mode_tokens_lead_the_inputs(ul2r_rows):
    for share, row in ((UL2R[row["denoiser"]], row) for row in ul2r_rows[:50]):
        assert VOCABULARY.decode(row["inputs"][:5].tolist()) == share.mode
    ids = [Share(T5_SPANS, mode=(300, 301))]
    (row,) = denoise(documents_of([40]), ids)
    assert row["inputs"][:2].tolist() == [300, 301]


# ---------------------------------------------------------------------------------------- draws


def test_the_same_seed_gives_the_same_rows_and_another_gives_others():
    documents, lengths = documents_of(20 * [500]), {"inputs": 128, "targets": 128}
    first, again, other = (run(objectives.ul2, documents, lengths, seed=seed) for seed in (3, 3, 4))
    as_lists = [
        [(row["denoiser"], row["inputs"].tolist(), row["targets"].tolist()) for row in rows]
        for rows in (first, again, other)
    ]
    assert as_lists[0] == as_lists[1] != as_lists[2]


# --------------------------------------------------------------------------------------- errors


def test_too_few_sentinels_is_an_error_with_the_number():
    few = features(vocabulary=seqio.ByteVocabulary(extra_ids=100))
    lengths = {"inputs": 1024, "targets": 1024}
    with pytest.raises(ConfigError, match="'x_dense' hides up to 255 spans of 1527 tokens") as e:
        run(objectives.ul2r, documents_of([9]), lengths, output_features=few)
    assert "has 100 sentinel ids. Give it 255" in str(e.value)
    # The last ids of the vocabulary may serve when the user says so.
    rows = run(objectives.ul2r, documents_of([9000]), lengths, output_features=few, sentinels=255)
    assert min(token for row in rows for token in row["targets"] if token != EOS) >= 3


def test_lengths_that_do_not_go_together_are_an_error():
    lengths = {"inputs": 512, "targets": 64}
    with pytest.raises(ConfigError, match=r"targets of 113 tokens, .* Lengthen .* by 50"):
        run(objectives.span_corruption, documents_of([9]), lengths)
    with pytest.raises(ConfigError, match="needs two tokens of text at least"):
        run(objectives.prefix_lm, documents_of([9]), {"inputs": 2, "targets": 9})


def test_a_mode_text_that_the_vocabulary_cannot_write_is_an_error(shared_data):
    vocabulary = seqio.SentencePieceVocabulary(
        str(shared_data / "t5_vocab" / "spiece.model"), extra_ids=100
    )
    shares = [Share(T5_SPANS, mode="{NLU}")]
    with pytest.raises(ConfigError, match="has no tokens for the mode text '{NLU}'"):
        run(
            objectives.denoise,
            documents_of([9]),
            LONG,
            output_features=features(vocabulary=vocabulary),
            shares=shares,
            sentinels=700,
        )


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpanCorruption("any", 3, 1.5),
        lambda: SpanCorruption("any", 0.5, 0.15),
        lambda: PrefixSplit("any", 0.7),
        lambda: Share(T5_SPANS, 0),
    ],
)
def test_denoisers_out_of_range_are_refused(make):
    with pytest.raises(ConfigError, match="any|span_corruption"):
        make()


def test_the_mixture_of_the_documentation():
    text = pathlib.Path(__file__).parents[2] / "docs" / "objectives.md"
    code = text.read_text().partition("```python\n")[2].partition("```")[0]
    scope = {}
    exec(code, scope)
    rows = run(scope["preprocessor"], documents_of([2000]), LONG)
    assert {row["denoiser"] for row in rows} == {0, 1}
    for row in rows:
        assert row["inputs"][0] == (32001 if row["denoiser"] else VOCABULARY.encode("[")[0])
