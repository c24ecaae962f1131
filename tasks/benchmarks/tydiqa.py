"""TyDiQA's gold passage task (Clark et al. 2020, arXiv 2003.05002): questions about one passage.

Files, of github.com/google-research-datasets/tydiqa, a folder with either

- `tydiqa-goldp-v1.1-train.json` and `tydiqa-goldp-v1.1-dev.json`, in SQuAD's form, or
- the full task, one `*train*.jsonl(.gz)` and one `*dev*.jsonl(.gz)`, of which each question with a
  passage and a span in it is taken: the passage of the first annotator who marked a span, and the
  spans that any annotator marked in that passage. Yes-or-no answers have no span. The published
  gold passages follow the same description (section 3 of the paper); that ours are the same rows
  could not be checked.

Splits train and dev. A file has all languages; each task keeps the rows of its own.
"""

import contextlib
import gzip
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from flan_jax.errors import DataError
from tasks.benchmarks.records import Benchmark, Record, missing_file, open_text, require

SPLITS = ("train", "dev")
_MOST_LINE_BYTES = 1 << 28  # A compressed file can claim a line of any length.
_URL = "github.com/google-research-datasets/tydiqa (gold passage task)"

# Language -> its name in the files. Flan 2022 reports all but English (arXiv 2210.11416).
LANGUAGES = {
    "ar": "arabic",
    "bn": "bengali",
    "en": "english",
    "fi": "finnish",
    "id": "indonesian",
    "ko": "korean",
    "ru": "russian",
    "sw": "swahili",
    "te": "telugu",
}


def path_of(folder: pathlib.Path, split: str) -> pathlib.Path:
    """Returns the file of a split: of gold passages, else of the full task.

    Raises:
      DataError: there is none, or several of the full task.
    """
    path = folder / f"tydiqa-goldp-v1.1-{split}.json"
    if path.is_file():
        return path
    found = sorted({*folder.glob(f"*{split}*.jsonl"), *folder.glob(f"*{split}*.jsonl.gz")})
    if len(found) > 1:
        raise DataError(
            f"{folder} holds {len(found)} files for the split {split!r}: "
            f"{', '.join(one.name for one in found[:3])}. Leave one, or give {path.name}."
        )
    if not found:
        raise missing_file(path, _URL)
    return found[0]


def read(folder: pathlib.Path, language: str, split: str) -> list[Record]:
    """Reads the rows of a language; DataError names a missing file, or the place of a bad row.

    {'context': 'Lake Saimaa lies in Finland.', 'question': 'Where is Saimaa?', 'answers':
    [{'text': 'Finland', 'answer_start': 20}]} becomes context, question, and answer 'Finland'.
    """
    path = path_of(folder, split)
    if path.suffix == ".json":
        return list(_gold_passages(path, language))
    return list(_full_task(path, language))


def _gold_passages(path: pathlib.Path, language: str) -> Iterator[Record]:
    try:
        content: Any = json.loads(open_text(path, _URL))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}.") from error
    articles = content.get("data") if isinstance(content, dict) else None
    for number, article in enumerate(require(articles, list, str(path), '"data"')):
        place = f"{path}, article {number}"
        require(article, dict, place, "the article")
        for paragraph in require(article.get("paragraphs"), list, place, '"paragraphs"'):
            require(paragraph, dict, place, "the paragraph")
            context = require(paragraph.get("context"), str, place, '"context"')
            for asked in require(paragraph.get("qas"), list, place, '"qas"'):
                name = require(asked.get("id"), str, place, '"id"')
                if not name.startswith(f"{LANGUAGES[language]}-"):
                    continue
                where = f"{place}, {name}"
                question = require(asked.get("question"), str, where, '"question"')
                spans = require(asked.get("answers"), list, where, '"answers"')
                texts = [
                    require(span.get("text"), str, where, "an answer's text") for span in spans
                ]
                yield _record(name, question, context, texts, language)


def _full_task(path: pathlib.Path, language: str) -> Iterator[Record]:
    # Most lines are of other languages, and a line can be of a megabyte.
    marks = tuple(f'"language":{blank}"{LANGUAGES[language]}"' for blank in ("", " "))
    for number, line in enumerate(_lines(path), 1):
        if not any(mark in line for mark in marks):
            continue
        place = f"{path}, line {number}"
        try:
            row: Any = json.loads(line)
        except ValueError as error:
            raise DataError(f"{place}, is not JSON: {error}.") from error
        require(row, dict, place, "the row")
        if row.get("language") != LANGUAGES[language]:
            continue
        try:
            context, texts = _gold_passage(row)
        except (KeyError, TypeError, IndexError, UnicodeDecodeError) as error:
            raise DataError(
                f"{place} is not a row of TyDiQA's full task ({type(error).__name__}: {error})."
            ) from error
        if texts:
            question = require(row.get("question_text"), str, place, '"question_text"')
            name = f"{LANGUAGES[language]}-{row.get('example_id')}"
            yield _record(name, question, context, texts, language)


def _lines(path: pathlib.Path) -> Iterator[str]:
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    with contextlib.closing(opened) as file:
        try:
            while line := file.readline(_MOST_LINE_BYTES):
                if len(line) == _MOST_LINE_BYTES:
                    raise DataError(f"{path} has a line of more than {len(line):,} bytes.")
                yield line.decode("utf-8")
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as UTF-8 text: {error}.") from error


def _gold_passage(row: dict[str, Any]) -> tuple[str, list[str]]:
    """The passage and the spans that were marked in it; no spans where nothing was."""
    document = row["document_plaintext"].encode("utf-8")
    passage, texts = -1, []
    for annotation in row["annotations"]:
        candidate = annotation["passage_answer"]["candidate_index"]
        text = _cut(document, annotation["minimal_answer"])
        if candidate < 0 or not text or passage not in (-1, candidate):
            continue
        passage = candidate
        texts.append(text)
    if not texts:
        return "", []
    return _cut(document, row["passage_answer_candidates"][passage]), texts


def _cut(document: bytes, span: dict[str, int]) -> str:
    """The text between two places in bytes, which are -1 where nothing was marked."""
    start, end = span["plaintext_start_byte"], span["plaintext_end_byte"]
    return document[start:end].decode("utf-8").strip() if 0 <= start < end else ""


def _record(name: str, question: str, context: str, texts: list[str], language: str) -> Record:
    answers = tuple(dict.fromkeys(text.strip() for text in texts))
    return Record(
        name, question.strip(), answers[0], answers, context=context.strip(), language=language
    )


def find(folder: pathlib.Path, language: str) -> str:
    """Returns what is missing for evaluation, '' where the questions of 'dev' are there."""
    del language
    try:
        path_of(folder, "dev")
    except DataError as error:
        return str(error)
    return ""


def prompt(record: Record) -> str:
    """Returns the passage and, on a line of its own, the question."""
    return f"{record.context}\n{record.question}"


TYDIQA = Benchmark(
    name="tydiqa",
    parts=LANGUAGES,
    splits=SPLITS,
    read=read,
    find=find,
    prompt=prompt,
    source="tydiqa",
    made_of=("tydiqa", "tydi_qa", "tydiqa_goldp"),
    url=_URL,
    licence="Apache-2.0",
    citation="Clark et al. 2020, arXiv 2003.05002",
    text_fields=("question", "context"),
    many_answers=True,
)
