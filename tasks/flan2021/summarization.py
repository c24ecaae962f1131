"""The summarization cluster of FLAN 2021: eleven data sets, one of which (AG News) has options."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.wordings.summarization import WORDINGS

_SPLITS = {"train": "train[:30000]", "validation": "validation[:200]", "test": "test"}
_OPINION_SPLITS = {
    "train": "train[:-600]",
    "validation": "train[-600:-500]",
    "test": "train[-500:]",
}

_TOPICS = ("World", "Sports", "Business", "Science/Tech")
_OPINIONS_SHOWN = 10

# What stands before the text of an article, in the order tried.
_DATELINE = "|".join(
    (
        # Daily Mail: 'By. Jane Doe. PUBLISHED:. 05:32 EST, 1 May 2014. |. UPDATED:. ... 2014. ', or
        # 'Last updated at 2:57 AM on 5th May 2011. ', the byline being optional.
        r"^(?:By ?\. .{0,300}?)?(?:(?:(?:PUBLISHED|UPDATED|CREATED): ?\.|Last updated at) "
        r"[^.]{1,60}\. (?:\| ?\. )?)+",
        # Daily Mail, the byline alone: 'By. Jane Doe. '.
        r"^By ?\. [^.|]{1,80}\. ",
        # 'LONDON, England (Reuters) -- '.
        r"^[^()]{0,60}\([A-Z][^()]{0,40}\) *-- *",
        # '(CNN)' and '(CNN) - '.
        r"^\(CNN[^()]{0,20}\) *(?:-{1,2} *)?",
        # 'New York (CNN)', but not 'Cable News Network (CNN) says': what follows is a capital.
        r"^(?:[A-Z][^() ]* ){1,5}\(CNN\) ?([^a-z ])",
        # 'BEIJING, China -- '.
        r"^[A-Z]{2,}[A-Z. ]*, [A-Z][A-Za-z. ]{1,30} -- ",
    )
)


def aeslc(row: Row) -> dict[str, Any]:
    r"""Joins the lines of the body and of the subject.

    In {'email_body': 'Bob,\nlunch at noon?\n', 'subject_line': 'Lunch\n'}, out {'body': 'Bob, lunch
    at noon?', 'subject': 'Lunch'}.
    """
    return {"body": _one_line(row["email_body"]), "subject": _one_line(row["subject_line"])}


def cnn_dailymail(row: Row) -> dict[str, Any]:
    """Removes byline, date and place from the head of the article.

    In {'article': 'LONDON, England (CNN) -- Buses stopped.', 'highlights': 'No buses .', ...}, out
    {'text': 'Buses stopped.', 'highlights': 'No buses .'}.
    """
    text = tf.strings.regex_replace(row["article"], _DATELINE, r"\1", replace_global=False)
    return {"text": tf.strings.strip(text), "highlights": row["highlights"]}


def document_summary(row: Row) -> dict[str, Any]:
    """Renames the document.

    In {'document': 'it rained .', 'summary': 'rain'}, out {'text': 'it rained .', 'summary':
    'rain'}.
    """
    return {"text": row["document"], "summary": row["summary"]}


def newsroom(row: Row) -> dict[str, Any]:
    """Keeps text, title and summary.

    In {'text': 'It rained.', 'title': 'Rain', 'summary': 'Rain fell.', 'url': ..., ...}, out
    {'text': 'It rained.', 'title': 'Rain', 'summary': 'Rain fell.'}.
    """
    return {"text": row["text"], "title": row["title"], "summary": row["summary"]}


def samsum(row: Row) -> dict[str, Any]:
    r"""Normalises line ends and removes tags that stand for attachments.

    In {'dialogue': 'Al: <file_photo> nice?\r\nBo: yes', 'summary': 'Bo likes it.', 'id': '1'}, out
    {'dialogue': 'Al: nice?\nBo: yes', 'summary': 'Bo likes it.'}.
    """
    dialogue = tf.strings.regex_replace(row["dialogue"], r"\r\n?", "\n")
    # A tag starts with a letter, so that the heart in 'I <3 you' stays.
    dialogue = tf.strings.regex_replace(dialogue, r" ?<[A-Za-z][^<>\n]{0,60}>", "")
    return {"dialogue": dialogue, "summary": row["summary"]}


def ag_news_subset(row: Row) -> dict[str, Any]:
    """Turns the label into the name of the topic.

    In {'label': 1, 'title': 'Cup', 'description': 'A final.'}, out {'title': 'Cup', 'text': 'A
    final.', 'options': ['World', 'Sports', 'Business', 'Science/Tech'], 'answer': 'Sports'}.
    """
    options = tf.constant(_TOPICS)
    return {
        "title": row["title"],
        "text": row["description"],
        "options": options,
        "answer": tf.gather(options, row["label"]),
    }


def rotten_tomatoes(row: Row) -> dict[str, Any]:
    r"""Numbers the first ten reviews and puts blanks into the film's name.

    In {'_movie_name': 'the_fog', '_critic_consensus': 'Dull.', '_critics': {'key': ['a', 'b'],
    'value': ['Too slow.', 'Grey.']}, '_movie_id': 'x'}, out {'critic_consensus': 'Dull.', 'movie':
    'the fog', 'first_review': 'Too slow.', 'numbered_reviews': '1. Too slow.\n2. Grey.'}.
    """
    reviews = row["_critics"]["value"]
    return {
        "critic_consensus": row["_critic_consensus"],
        "movie": tf.strings.regex_replace(row["_movie_name"], "_", " "),
        # Joined rather than indexed, so that a film without reviews is no error.
        "first_review": tf.strings.reduce_join(tf.strings.strip(reviews[:1])),
        "numbered_reviews": _numbered(reviews),
    }


def idebate(row: Row) -> dict[str, Any]:
    r"""Numbers the first ten sentences of the argument.

    In {'_debate_name': 'Ban cars', '_claim': 'Cars harm.', '_argument_sentences': {'key': ['a',
    'b'], 'value': ['They smell.', 'They kill.']}, '_claim_id': 'x'}, out {'claim': 'Cars harm.',
    'debate_name': 'Ban cars', 'argument_sentences': '1. They smell.\n2. They kill.'}.
    """
    return {
        "claim": row["_claim"],
        "debate_name": row["_debate_name"],
        "argument_sentences": _numbered(row["_argument_sentences"]["value"]),
    }


def wiki_lingua(row: Row) -> dict[str, Any]:
    """Keeps the guide and its summary.

    In {'source': 'You should sleep, because ...', 'target': 'Sleep.', 'gem_id': ..., ...}, out
    {'source': 'You should sleep, because ...', 'target': 'Sleep.'}.
    """
    return {"source": row["source"], "target": row["target"]}


def _one_line(text: tf.Tensor) -> tf.Tensor:
    return tf.strings.strip(tf.strings.regex_replace(text, r"\s*\n\s*", " "))


def _numbered(texts: tf.Tensor) -> tf.Tensor:
    """Returns the first ten of `texts` as one text, '1. ...' and so on, one a line."""
    shown = tf.strings.strip(texts[:_OPINIONS_SHOWN])
    numbers = tf.strings.as_string(tf.range(1, tf.size(shown) + 1))
    return tf.strings.reduce_join(tf.strings.join([numbers, shown], ". "), separator="\n")


def _keep_with(*names: str) -> Callable[[Row], tf.Tensor]:
    """Drops rows in which one of the features is empty or blank."""

    def keep(row: Row) -> tf.Tensor:
        is_there = [tf.strings.length(tf.strings.strip(row[name])) > 0 for name in names]
        return tf.reduce_all(is_there, axis=0)

    return keep


def _keep_gigaword(row: Row) -> tf.Tensor:
    """Drops rows with unknown words or with masked digits, which a reader cannot fill in."""
    both = tf.strings.join([row["document"], row["summary"]], "\n")
    return ~tf.strings.regex_full_match(both, r"(?s).*(UNK|#).*")


def _gigaword_rows(lines: tuple[str, str]) -> Iterable[Row]:
    document, summary = (line.strip().replace("<unk>", "UNK") for line in lines)
    return [{"document": document, "summary": summary}]


def _multi_news_rows(lines: tuple[str, str]) -> Iterable[Row]:
    document, summary = (line.strip() for line in lines)
    return [{"document": document.replace("NEWLINE_CHAR", "\n"), "summary": summary}]


def _newsroom_rows(record: dict[str, Any]) -> Iterable[Row]:
    texts = {name: record[name] for name in ("text", "summary", "title", "url", "date")}
    measures = ("density", "coverage", "compression")
    bins = {f"{name}_bin": record[f"{name}_bin"] for name in measures}
    return [texts | bins | {name: float(record[name]) for name in measures}]


def _samsum_rows(records: list[dict[str, str]]) -> Iterable[Row]:
    return [{name: record[name] for name in ("dialogue", "summary", "id")} for record in records]


def _ag_news_rows(record: dict[str, str]) -> Iterable[Row]:
    title, description = record["title"], record["description"]
    # The file counts classes from 1.
    return [{"label": int(record["class"]) - 1, "title": title, "description": description}]


def _opinion_rows(
    records: list[dict[str, Any]], texts: tuple[str, ...], opinions: str
) -> Iterable[Row]:
    """Returns the texts and the opinions, which the file has as an object of id -> text."""
    for record in records:
        columns = {"key": list(record[opinions]), "value": list(record[opinions].values())}
        yield {name: str(record[name]) for name in texts} | {opinions: columns}


def _wiki_lingua_rows(lines: tuple[str, str]) -> Iterable[Row]:
    source, target = (line.strip() for line in lines)
    return [
        {
            "source": source,
            "target": target,
            "source_aligned": {"en": source},
            "target_aligned": {"en": target},
            "references": [target],
        }
    ]


# What the ten data sets that are scored by ROUGE have in common.
_rouge_dataset = functools.partial(
    Dataset, metric_fns=(metrics.rouge,), postprocess_fn=postprocess.strip
)

DATASETS: tuple[Dataset, ...] = (
    _rouge_dataset(
        name="aeslc",
        paper_name="AESLC",
        tfds="aeslc:1.0.0",
        splits={"train": "train", "validation": "validation[-200:]", "test": "test"},
        fields=("body", "subject"),
        process=aeslc,
        wordings=WORDINGS["aeslc"],
        keep=_keep_with("email_body", "subject_line"),
        citation="zhang2019email",
        note="An email without a body or without a subject is dropped; the public code drops it "
        "only where both are empty.",
    ),
    _rouge_dataset(
        name="cnn_dailymail",
        paper_name="CNN-DM",
        tfds="cnn_dailymail:3.4.0",
        splits=_SPLITS,
        fields=("text", "highlights"),
        process=cnn_dailymail,
        wordings=WORDINGS["cnn_dailymail"],
        citation="see2017get",
        note="The public code pins 3.1.0, which TFDS no longer has; 3.4.0 has no blank before an "
        "added full stop and adds publisher and id. Byline, date and place are removed from the "
        "head of the article only; the public code keeps the piece before a separator found "
        "anywhere, so that it often throws the article away.",
    ),
    _rouge_dataset(
        name="gigaword",
        paper_name="Gigaword",
        tfds="gigaword:1.2.0",
        splits=_SPLITS,
        fields=("text", "summary"),
        process=document_summary,
        wordings=WORDINGS["gigaword"],
        keep=_keep_gigaword,
        citation="rush2015neural",
        files=Files(
            format="lines",
            splits={
                "train": ("train.src.txt", "train.tgt.txt"),
                "validation": ("dev.src.txt", "dev.tgt.txt"),
                "test": ("test.src.txt", "test.tgt.txt"),
            },
            rows=_gigaword_rows,
            url="https://github.com/harvardnlp/sent-summary",
        ),
        note="Text is in lower case and split into tokens. Rows with UNK or # are dropped, from "
        "the test split too. The file names are those of the folder org_data of microsoft/unilm.",
    ),
    _rouge_dataset(
        name="multi_news",
        paper_name="Multi-News",
        tfds="multi_news:2.1.0",
        splits=_SPLITS,
        fields=("text", "summary"),
        process=document_summary,
        wordings=WORDINGS["multi_news"],
        keep=_keep_with("document"),
        licence="For non-commercial research and educational purposes only",
        citation="fabbri2019multi",
        files=Files(
            format="lines",
            splits={
                "train": ("train.src.cleaned", "train.tgt"),
                "validation": ("val.src.cleaned", "val.tgt"),
                "test": ("test.src.cleaned", "test.tgt"),
            },
            rows=_multi_news_rows,
            url="https://huggingface.co/datasets/alexfabbri/multi_news/tree/main/data",
        ),
        note="The public code pins 1.0.0, which TFDS no longer has. Articles of a row are "
        "separated by |||||. Rows with an empty document are dropped; the public filter only looks "
        "whether the feature exists.",
    ),
    _rouge_dataset(
        name="newsroom",
        paper_name="Newsroom",
        tfds="newsroom:1.0.0",
        splits=_SPLITS,
        fields=("text", "title", "summary"),
        process=newsroom,
        wordings=WORDINGS["newsroom"],
        licence="Cornell Newsroom dataset usage agreement",
        citation="grusky2018newsroom",
        files=Files(
            format="jsonl",
            splits={"train": "train.jsonl", "validation": "dev.jsonl", "test": "test.jsonl"},
            rows=_newsroom_rows,
            url="https://lil.nlp.cornell.edu/newsroom/",
        ),
        note="Handed out on registration; TFDS wants the three files in its folder for manual "
        "downloads.",
    ),
    _rouge_dataset(
        name="samsum",
        paper_name="SamSum",
        tfds="samsum:1.0.0",
        splits={"train": "train", "validation": "validation[:200]", "test": "test"},
        fields=("dialogue", "summary"),
        process=samsum,
        wordings=WORDINGS["samsum"],
        licence="CC BY-NC-ND 4.0",
        citation="gliwa2019samsum",
        files=Files(
            format="json",
            splits={"train": "train.json", "validation": "val.json", "test": "test.json"},
            rows=_samsum_rows,
            url="https://arxiv.org/src/1911.12237v2/anc/corpus.7z",
        ),
        note="TFDS wants the three files in its folder for manual downloads. The public code "
        "removes everything from the first < of a line to its last >; here each tag goes alone.",
    ),
    _rouge_dataset(
        name="xsum",
        paper_name="XSum",
        tfds="xsum:1.1.0",
        splits=_SPLITS,
        fields=("text", "summary"),
        process=document_summary,
        wordings=WORDINGS["xsum"],
        citation="narayan2018don",
        note="The public code reads huggingface:xsum, unpinned, through TFDS's bridge to Hugging "
        "Face. TFDS's own builder wants xsum-extracts-from-downloads.tar.gz in its folder for "
        "manual downloads; 1.1.0 removes lines of the web page such as 'Share this with'.",
    ),
    Dataset(
        name="ag_news_subset",
        paper_name="AG News",
        tfds="ag_news_subset:1.0.0",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "test"},
        fields=("title", "text", "answer"),
        process=ag_news_subset,
        wordings=WORDINGS["ag_news_subset"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        keep=_keep_with("title"),
        options=_TOPICS,
        licence="for research and other non-commercial use",
        citation="zhang2015character",
        files=Files(
            format="csv",
            splits={"train": "train.csv", "test": "test.csv"},
            rows=_ag_news_rows,
            columns=("class", "title", "description"),
            url="https://arxiv.org/abs/1509.01626",
        ),
        note="Topic classification, which the paper counts as summarization. The texts keep the "
        "marks of their origin: a backslash for a line break, ' #39;' for an apostrophe. Rows with "
        "an empty title are dropped; the public filter only looks whether the feature exists.",
    ),
    _rouge_dataset(
        name="opinion_abstracts_rotten_tomatoes",
        row_by_row=True,
        paper_name="Opin-Abs: Movie",
        tfds="opinion_abstracts/rotten_tomatoes:1.0.0",
        splits=_OPINION_SPLITS,
        fields=("critic_consensus", "movie", "first_review", "numbered_reviews"),
        plain_fields=("movie", "numbered_reviews"),
        process=rotten_tomatoes,
        wordings=WORDINGS["opinion_abstracts_rotten_tomatoes"],
        citation="wang2016neural",
        files=Files(
            format="json",
            splits={"train": "rottentomatoes.json"},
            rows=functools.partial(
                _opinion_rows,
                texts=("_movie_name", "_movie_id", "_critic_consensus"),
                opinions="_critics",
            ),
            url="https://web.eecs.umich.edu/~wangluxy/datasets/opinion_abstracts.zip",
        ),
        note="Has only a train split, of which validation and test are cut.",
    ),
    _rouge_dataset(
        name="opinion_abstracts_idebate",
        row_by_row=True,
        paper_name="Opin-Abs: iDebate",
        tfds="opinion_abstracts/idebate:1.0.0",
        splits=_OPINION_SPLITS,
        fields=("claim", "debate_name", "argument_sentences"),
        process=idebate,
        wordings=WORDINGS["opinion_abstracts_idebate"],
        citation="wang2016neural",
        files=Files(
            format="json",
            splits={"train": "idebate.json"},
            rows=functools.partial(
                _opinion_rows,
                texts=("_debate_name", "_claim_id", "_claim"),
                opinions="_argument_sentences",
            ),
            url="https://web.eecs.umich.edu/~wangluxy/datasets/opinion_abstracts.zip",
        ),
        note="Has only a train split, of which validation and test are cut.",
    ),
    _rouge_dataset(
        name="wiki_lingua_english_en",
        paper_name="Wiki Lingua EN",
        tfds="gem/wiki_lingua_english_en:1.1.0",
        splits=_SPLITS,
        fields=("source", "target"),
        process=wiki_lingua,
        wordings=WORDINGS["wiki_lingua_english_en"],
        licence="CC BY-NC-SA 3.0",
        citation="ladhak2020wikilingua",
        files=Files(
            format="lines",
            splits={
                "train": ("train.src.en", "train.tgt.en"),
                "validation": ("val.src.en", "val.tgt.en"),
                "test": ("test.src.en", "test.tgt.en"),
            },
            rows=_wiki_lingua_rows,
            url="https://storage.googleapis.com/huggingface-nlp/datasets/gem/gem_wikilingua_full/"
            "english.zip",
        ),
        note="Rows read from files have no gem_id, and references in the train split too.",
    ),
)
