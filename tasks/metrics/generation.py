"""Generated text against references: ROUGE, BLEU, edit distance. Settings are those of T5."""

import functools
import itertools
import re
import statistics
from collections.abc import Sequence

from tasks.metrics.rows import mean_percent, paired, references, rouge_scorer

_ROUGE_TYPES = ("rouge1", "rouge2", "rougeLsum")


def rouge(targets: Sequence[str | Sequence[str]], predictions: Sequence[str]) -> dict[str, float]:
    """Mean F-measure of `rouge1`, `rouge2` and `rougeLsum` in percent.

    google rouge-score without a stemmer. With several references, each of the three takes the one
    that is best for it. Sentences, which rougeLsum compares one by one, are lines; a full stop
    between blanks ends one too.
    """
    scorer = rouge_scorer(_ROUGE_TYPES)
    best: dict[str, list[float]] = {kind: [] for kind in _ROUGE_TYPES}
    for target, prediction in zip(*paired(targets, predictions), strict=True):
        lines = [_sentences_on_lines(text) for text in references(target)]
        scores = [scorer.score(each, _sentences_on_lines(prediction)) for each in lines]
        for kind, values in best.items():
            values.append(max(score[kind].fmeasure for score in scores))
    return {kind: mean_percent(values) for kind, values in best.items()}


def bleu(targets: Sequence[str | Sequence[str]], predictions: Sequence[str]) -> dict[str, float]:
    """Corpus BLEU of sacreBLEU with the tokeniser 'intl' and exponential smoothing.

    Rows may have different numbers of references.
    """
    import sacrebleu

    paired(targets, predictions)
    by_row = [references(target) for target in targets]
    # sacreBLEU wants the first reference of every row, then the second of every row, and so on.
    streams = [list(texts) for texts in itertools.zip_longest(*by_row)]
    score = sacrebleu.corpus_bleu(
        list(predictions),
        streams,
        smooth_method="exp",
        # Do not warn of texts that look tokenised: some data sets are.
        force=True,
        tokenize="intl",
    )
    return {"bleu": score.score}


def edit_distance(
    targets: Sequence[str], predictions: Sequence[str], lower: bool = True
) -> dict[str, float]:
    """Words to insert, delete or replace to turn predictions into targets, over rows.

    Words are what stands between characters that are neither letters, digits nor underscores; two
    of those in a row have an empty word between them, so "a, b" is three words.

    Args:
      targets: texts.
      predictions: texts.
      lower: compare in lower case. Where the case is the task, take
        `functools.partial(edit_distance, lower=False)`.

    Returns:
      `min_edit`, `max_edit`, `mean_edit`, `median_edit` and `sum_edit`, all in words.
    """
    import editdistance

    words = functools.partial(_words, lower=lower)
    distances = [
        editdistance.distance(words(target), words(prediction))
        for target, prediction in zip(*paired(targets, predictions), strict=True)
    ]
    return {
        "min_edit": float(min(distances)),
        "max_edit": float(max(distances)),
        "mean_edit": statistics.fmean(distances),
        "median_edit": float(statistics.median(distances)),
        "sum_edit": float(sum(distances)),
    }


def _words(text: str, lower: bool) -> list[str]:
    return re.split(r"\W", text.lower() if lower else text)


def _sentences_on_lines(text: str) -> str:
    return text.replace(" . ", " .\n")
