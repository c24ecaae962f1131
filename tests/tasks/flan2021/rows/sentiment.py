"""Rows of the sentiment data sets and what becomes of them."""

_SENTIMENTS = ["negative", "positive"]


def _tweet(text: str, polarity: int) -> dict:
    return {
        "polarity": polarity,
        "date": "Sat May 16 23:58:44 UTC 2009",
        "query": "NO_QUERY",
        "user": "somebody",
        "text": text,
    }


ROWS: dict[str, tuple[dict, ...]] = {
    "imdb_reviews": (
        {
            "text": "Two hours of rain and mumbling.<br /><br />I want them back.<br/>Avoid.",
            "label": 0,
        },
        {"text": "A joy from the first scene to the last.", "label": 1},
    ),
    "sentiment140": (
        _tweet("@bob the train is late again and i forgot my book ", 0),
        _tweet("first swim of the year, loved it", 4),
    ),
    "yelp_polarity_reviews": (
        {
            "text": r'They call it \""fresh\"" fish.\n\nIt was not.',
            "label": 0,
        },
        {"text": 'Try the ""small"" plate, it feeds two!', "label": 1},
    ),
    "sst2": (
        {"sentence": "a dull , shapeless sequel ", "label": 0, "idx": 5},
        {"sentence": "warm and often very funny ", "label": 1, "idx": 6},
    ),
}

PROCESSED: dict[str, tuple[dict, ...]] = {
    "imdb_reviews": (
        {
            "text": "Two hours of rain and mumbling.\n\nI want them back.\nAvoid.",
            "options": _SENTIMENTS,
            "answer": "negative",
        },
        {
            "text": "A joy from the first scene to the last.",
            "options": _SENTIMENTS,
            "answer": "positive",
        },
    ),
    "sentiment140": (
        {
            "text": "@bob the train is late again and i forgot my book",
            "options": _SENTIMENTS,
            "answer": "negative",
        },
        {
            "text": "first swim of the year, loved it",
            "options": _SENTIMENTS,
            "answer": "positive",
        },
    ),
    "yelp_polarity_reviews": (
        {
            "text": 'They call it "fresh" fish.\n\nIt was not.',
            "options": _SENTIMENTS,
            "answer": "negative",
        },
        {
            "text": 'Try the "small" plate, it feeds two!',
            "options": _SENTIMENTS,
            "answer": "positive",
        },
    ),
    "sst2": (
        {
            "sentence": "a dull , shapeless sequel",
            "options": _SENTIMENTS,
            "answer": "negative",
        },
        {
            "sentence": "warm and often very funny",
            "options": _SENTIMENTS,
            "answer": "positive",
        },
    ),
}

DROPPED: dict[str, tuple[dict, ...]] = {
    "sentiment140": (_tweet("the museum opens at ten", 2),),
    "yelp_polarity_reviews": ({"text": "", "label": 1}, {"text": "Fine.", "label": -1}),
}
