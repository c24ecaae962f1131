"""Sentiment: IMDB, Sentiment140, Yelp polarity, SST-2."""

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.wordings.sentiment import WORDINGS

# Indexed by the label.
SENTIMENTS = ("negative", "positive")

# Sentiment140 grades from 0, negative, to 4, positive.
_NEUTRAL = 2

# As TFDS has it, where a test file does not tell; and where a file does not number its rows.
_UNKNOWN = "-1"


def imdb_reviews(row: Row) -> dict[str, Any]:
    r"""Turns each HTML line break into a newline, and the label into a word.

    In {'text': 'Dull.<br /><br />Skip it.', 'label': 0}, out {'text': 'Dull.\n\nSkip it.',
    'options': ['negative', 'positive'], 'answer': 'negative'}.
    """
    text = tf.strings.regex_replace(row["text"], r"<br\s*/?>", "\n")
    return _labelled("text", text, row["label"])


def sentiment140(row: Row) -> dict[str, Any]:
    """Turns the polarity of a tweet, which is not a neutral one, into a word.

    In {'text': 'home at last ', 'polarity': 4, 'user': 'ann', 'query': 'NO_QUERY', 'date': '...'},
    out {'text': 'home at last', 'options': ['negative', 'positive'], 'answer': 'positive'}.
    """
    label = tf.cast(row["polarity"] > _NEUTRAL, tf.int64)
    return _labelled("text", row["text"], label)


def is_polar(row: Row) -> tf.Tensor:
    """Whether a tweet is other than neutral."""
    return tf.not_equal(row["polarity"], _NEUTRAL)


def yelp_polarity_reviews(row: Row) -> dict[str, Any]:
    r"""Undoes the escapes of quotation marks and newlines, and turns the label into a word.

    In {'text': r'A \""spa\"".\nNever again.', 'label': 0}, out {'text': 'A "spa".\nNever again.',
    'options': ['negative', 'positive'], 'answer': 'negative'}.
    """
    text = tf.strings.regex_replace(row["text"], r'\\?"{1,2}', '"')
    text = tf.strings.regex_replace(text, r"\\n", "\n")
    return _labelled("text", text, row["label"])


def is_labelled_review(row: Row) -> tf.Tensor:
    """Whether a row of Yelp has both a text and a label."""
    return tf.logical_and(tf.strings.length(row["text"]) > 0, row["label"] >= 0)


def sst2(row: Row) -> dict[str, Any]:
    """Turns the label into a word; the sentence loses the blank at its end.

    In {'sentence': 'a warm , funny film ', 'label': 1, 'idx': 7}, out {'sentence': 'a warm , funny
    film', 'options': ['negative', 'positive'], 'answer': 'positive'}.
    """
    return _labelled("sentence", row["sentence"], row["label"])


def _labelled(field: str, text: tf.Tensor, label: tf.Tensor) -> dict[str, Any]:
    return {
        field: tf.strings.strip(text),
        "options": tf.constant(SENTIMENTS),
        "answer": tf.gather(SENTIMENTS, label),
    }


def _sentiment140_rows(record: Mapping[str, str]) -> Iterator[Row]:
    yield {
        "polarity": int(record["polarity"]),
        "date": record["date"],
        "query": record["query"],
        "user": record["user"],
        "text": record["text"],
    }


def _yelp_rows(line: str) -> Iterator[Row]:
    # A line is "1","..." or "2","...". Like TFDS, leaves the escapes within the text as they are.
    yield {"text": line[5:-1].strip(), "label": int(line[1]) - 1}


def _sst2_rows(record: Mapping[str, str]) -> Iterator[Row]:
    yield {
        "sentence": record["sentence"],
        "label": int(record.get("label", _UNKNOWN)),
        "idx": int(record.get("index", _UNKNOWN)),
    }


DATASETS: tuple[Dataset, ...] = (
    Dataset(
        name="imdb_reviews",
        paper_name="IMDB",
        tfds="imdb_reviews/plain_text:1.0.0",
        splits={"train": "train[:-200]", "validation": "train[-200:]", "test": "test"},
        fields=("text", "answer"),
        process=imdb_reviews,
        wordings=WORDINGS["imdb_reviews"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        options=SENTIMENTS,
        citation="maas2011learning",
        note="The original distribution has a file for every review, so only TFDS is read.",
    ),
    Dataset(
        name="sentiment140",
        paper_name="Sent140",
        tfds="sentiment140:1.0.0",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "test"},
        fields=("text", "answer"),
        process=sentiment140,
        wordings=WORDINGS["sentiment140"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        keep=is_polar,
        options=SENTIMENTS,
        citation="go2009twitter",
        files=Files(
            format="csv",
            splits={
                "train": "training.1600000.processed.noemoticon.csv",
                "test": "testdata.manual.2009.06.14.csv",
            },
            rows=_sentiment140_rows,
            columns=("polarity", "id", "date", "query", "user", "text"),
            encoding="iso-8859-1",
            url="http://cs.stanford.edu/people/alecmgo/trainingandtestdata.zip",
        ),
        note="Neutral tweets, which only the test split has, are dropped; the public code counts "
        "them as negative. Labels of the train split are guessed from emoticons.",
    ),
    Dataset(
        name="yelp_polarity_reviews",
        paper_name="Yelp",
        tfds="yelp_polarity_reviews:0.2.0",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "test"},
        fields=("text", "answer"),
        process=yelp_polarity_reviews,
        wordings=WORDINGS["yelp_polarity_reviews"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        keep=is_labelled_review,
        options=SENTIMENTS,
        citation="zhang2015character",
        files=Files(
            format="lines",
            splits={"train": "train.csv", "test": "test.csv"},
            rows=_yelp_rows,
            url="https://s3.amazonaws.com/fast-ai-nlp/yelp_review_polarity_csv.tgz",
        ),
        note="Reviews of one or two stars are negative, of four or five positive; those of three "
        "are not in the data set. Use is subject to the terms of the Yelp data set.",
    ),
    Dataset(
        name="sst2",
        paper_name="SST-2",
        tfds="glue/sst2:2.0.0",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "validation"},
        fields=("sentence", "answer"),
        process=sst2,
        wordings=WORDINGS["sst2"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        options=SENTIMENTS,
        citation="socher2013recursive",
        files=Files(
            format="tsv",
            splits={"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"},
            rows=_sst2_rows,
            quoted=False,
            url="https://dl.fbaipublicfiles.com/glue/data/SST-2.zip",
        ),
        note="The training split has phrases as well as whole sentences, in lower case and "
        "tokenised.",
    ),
)
