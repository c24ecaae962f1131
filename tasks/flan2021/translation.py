"""The translation cluster: ParaCrawl, WMT14 and WMT16 pairs of English and another language."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.wordings.translation import WORDINGS

_FIELDS = ("lang1", "lang2", "sent1", "sent2")
_WMT_SPLITS = {"train": "train[:30000]", "validation": "validation[:200]", "test": "test"}
_WMT_FILES_NOTE = (
    "The files are plain parallel text, a sentence a line; where a split has several corpora, join "
    "them in one file a language."
)


def english_and(code: str, language: str) -> Callable[[Row], dict[str, Any]]:
    """Returns the processing function of a pair of English and another language.

    `english_and('de', 'German')`: in {'de': 'Guten Tag.', 'en': 'Good day.'}, out {'lang1':
    'English', 'lang2': 'German', 'sent1': 'Good day.', 'sent2': 'Guten Tag.'}.
    """

    def process(row: Row) -> dict[str, Any]:
        return {
            "lang1": tf.constant("English"),
            "lang2": tf.constant(language),
            "sent1": row["en"],
            "sent2": row[code],
        }

    return process


def _para_crawl_rows(record: Mapping[str, str]) -> Iterable[Row]:
    return [{language: text.strip() for language, text in record.items()}]


def _wmt_files(code: str, url: str) -> Files:
    def rows(record: tuple[str, str]) -> Iterable[Row]:
        english, other = record
        return [{"en": english.strip(), code: other.strip()}]

    splits = {split: (f"{split}.en", f"{split}.{code}") for split in _WMT_SPLITS}
    return Files(format="lines", splits=splits, rows=rows, url=url)


def _wmt16(code: str, language: str, note: str = "") -> Dataset:
    return Dataset(
        name=f"wmt16_translate_{code}en",
        paper_name=f"WMT-16 EN/{code.upper()}",
        tfds=f"wmt16_translate/{code}-en:1.0.0",
        splits=_WMT_SPLITS,
        fields=_FIELDS,
        plain_fields=("sent1",),
        process=english_and(code, language),
        wordings=WORDINGS["wmt16_translate"],
        metric_fns=(metrics.bleu,),
        postprocess_fn=postprocess.strip,
        citation="bojar2016findings",
        files=_wmt_files(code, "https://www.statmt.org/wmt16/translation-task.html"),
        note=f"{note} {_WMT_FILES_NOTE}".strip(),
    )


DATASETS = (
    Dataset(
        name="para_crawl_enes",
        paper_name="ParaCrawl EN/ES",
        tfds="para_crawl/enes:1.2.0",
        splits={
            "train": "train[:30000]",
            "validation": "train[-1200:-1000]",
            "test": "train[-1000:]",
        },
        fields=_FIELDS,
        plain_fields=("sent1",),
        process=english_and("es", "Spanish"),
        wordings=WORDINGS["para_crawl_enes"],
        metric_fns=(metrics.bleu,),
        postprocess_fn=postprocess.strip,
        licence="CC0 1.0 for the collection; the texts belong to their web sites",
        citation="banon2020paracrawl",
        files=Files(
            format="tsv",
            splits={"train": "en-es.bicleaner07.txt"},
            rows=_para_crawl_rows,
            columns=("en", "es"),
            quoted=False,
            url="https://s3.amazonaws.com/web-language-models/paracrawl/release4/"
            "en-es.bicleaner07.txt.gz",
        ),
    ),
    Dataset(
        name="wmt14_enfr",
        paper_name="EN/FR",
        tfds="wmt14_translate/fr-en:1.0.0",
        splits=_WMT_SPLITS,
        fields=_FIELDS,
        plain_fields=("sent1",),
        process=english_and("fr", "French"),
        wordings=WORDINGS["wmt14_enfr"],
        metric_fns=(metrics.bleu,),
        postprocess_fn=postprocess.strip,
        citation="bojar2014findings",
        files=_wmt_files("fr", "https://www.statmt.org/wmt14/translation-task.html"),
        note=f"The paper's figure 3 calls it ParaCrawl EN/FR. {_WMT_FILES_NOTE}",
    ),
    _wmt16("de", "German"),
    _wmt16("tr", "Turkish"),
    _wmt16("cs", "Czech", note="TFDS wants CzEng 1.6pre downloaded by hand."),
    _wmt16("fi", "Finnish", note="The test split is newstest2016 and newstestB2016."),
    _wmt16("ro", "Romanian"),
    _wmt16("ru", "Russian", note="TFDS wants the Yandex corpus downloaded by hand."),
)
