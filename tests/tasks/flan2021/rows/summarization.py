"""Invented rows of the summarization cluster as the TFDS builders give them, and what comes out."""

_TOPICS = ["World", "Sports", "Business", "Science/Tech"]

_NEWSROOM_REST = {
    "url": "http://news.example/ferry",
    "date": "20140512093000",
    "density_bin": "extractive",
    "coverage_bin": "high",
    "compression_bin": "low",
    "density": 3.5,
    "coverage": 0.75,
    "compression": 4.25,
}


def _guide(source: str, target: str, references: list[str]) -> dict:
    return {
        "gem_id": "wiki_lingua_english_en-train-0",
        "gem_parent_id": "wiki_lingua_english_en-train-0",
        "source": source,
        "target": target,
        "source_aligned": {"en": source},
        "target_aligned": {"en": target},
        "references": references,
    }


def _story(article: str, highlights: str) -> dict:
    return {"article": article, "highlights": highlights, "publisher": "cnn", "id": "0a1b"}


ROWS: dict[str, tuple[dict, ...]] = {
    "aeslc": (
        {
            "email_body": "Carol,\nthe pipeline figures are late.\n  Can you send them?\nThanks\n",
            "subject_line": "Pipeline figures\n",
        },
        {"email_body": "See you at nine.", "subject_line": " Breakfast "},
    ),
    "cnn_dailymail": (
        _story(
            "LONDON, England (Reuters) -- Two bridges closed on Monday (May 5) -- for repairs.",
            "Two bridges closed.\nRepairs last a week.",
        ),
        _story(
            "By. Ann Lee and Bo Day. PUBLISHED:. 05:32 EST, 1 May 2014. |. UPDATED:. 08:12 EST, "
            "2 May 2014. A cat came home in 2014. Its owner wept.",
            "Cat returns.",
        ),
        _story("New York (CNN)Snow fell on Sunday.", "It snowed."),
        _story("Cable News Network (CNN) says so. In 2013 . it did not.", "It says so."),
    ),
    "gigaword": (
        {
            "document": "shares in oslo rose on tuesday as oil grew dearer , brokers said .",
            "summary": "oslo shares rise with oil",
        },
        {"document": "a hashed figure is not in here .", "summary": "nothing hidden"},
    ),
    "multi_news": (
        {
            "document": "Paper one.\nThe dam broke. ||||| Paper two. The dam has broken.",
            "summary": "– A dam broke, two papers say.",
        },
        {"document": "Only one paper.", "summary": "– One paper."},
    ),
    "newsroom": (
        {
            "text": "The ferry to the island sank in port.\n\nNobody was hurt.",
            "title": "Ferry sinks",
            "summary": "A ferry sank in port.",
            **_NEWSROOM_REST,
        },
        {"text": "A goat won.", "title": "Goat race", "summary": "It won.", **_NEWSROOM_REST},
    ),
    "samsum": (
        {
            "dialogue": "Al: <file_photo> the sofa <file_gif> nice?\r\nBo: I <3 it > mine\r\nAl: k",
            "summary": "Bo likes Al's sofa.",
            "id": "1381",
        },
        {"dialogue": "Cy: home?\nDi: soon", "summary": "Di will be home soon.", "id": "2-b"},
    ),
    "xsum": (
        {
            "document": "The council met on Friday.\nIt agreed to plant 40 trees.",
            "summary": "A council is to plant trees.",
        },
        {"document": "Prices fell.", "summary": "Prices have fallen."},
    ),
    "ag_news_subset": (
        {"label": 3, "title": "Probe lands", "description": "A probe landed on Mars\\today."},
        {"label": 0, "title": "Talks open", "description": "Envoys met in Geneva."},
    ),
    "opinion_abstracts_rotten_tomatoes": (
        {
            "_movie_name": "the_long_night",
            "_movie_id": "m/the_long_night",
            "_critic_consensus": "Slow but rewarding.",
            "_critics": {
                "key": [f"the_long_night{i}" for i in range(12)],
                "value": [" A slow film. ", *(f"Opinion {i}." for i in range(2, 13))],
            },
        },
        {
            "_movie_name": "Unseen",
            "_movie_id": "m/unseen",
            "_critic_consensus": "Nobody went.",
            "_critics": {"key": [], "value": []},
        },
    ),
    "opinion_abstracts_idebate": (
        {
            "_debate_name": "This House would close zoos",
            "_claim_id": "zoos_01",
            "_claim": "Cages make animals ill.",
            "_argument_sentences": {
                "key": ["zoos_01a", "zoos_01b"],
                "value": ["Animals pace to and fro.", "They die young."],
            },
        },
        {
            "_debate_name": "Trams for all",
            "_claim_id": "trams_02",
            "_claim": "Trams are clean.",
            "_argument_sentences": {
                "key": [f"trams_02_{i}" for i in range(1, 12)],
                "value": [f"Reason {i}." for i in range(1, 12)],
            },
        },
    ),
    "wiki_lingua_english_en": (
        _guide("Wet soil rots roots, so water once a week.", "Water once a week.", []),
        _guide("Before you paint, sand the wood.", "Sand the wood.", ["Sand the wood."]),
    ),
}

PROCESSED: dict[str, tuple[dict, ...]] = {
    "aeslc": (
        {
            "body": "Carol, the pipeline figures are late. Can you send them? Thanks",
            "subject": "Pipeline figures",
        },
        {"body": "See you at nine.", "subject": "Breakfast"},
    ),
    "cnn_dailymail": (
        {
            "text": "Two bridges closed on Monday (May 5) -- for repairs.",
            "highlights": "Two bridges closed.\nRepairs last a week.",
        },
        {"text": "A cat came home in 2014. Its owner wept.", "highlights": "Cat returns."},
        {"text": "Snow fell on Sunday.", "highlights": "It snowed."},
        {
            "text": "Cable News Network (CNN) says so. In 2013 . it did not.",
            "highlights": "It says so.",
        },
    ),
    "gigaword": (
        {
            "text": "shares in oslo rose on tuesday as oil grew dearer , brokers said .",
            "summary": "oslo shares rise with oil",
        },
        {"text": "a hashed figure is not in here .", "summary": "nothing hidden"},
    ),
    "multi_news": (
        {
            "text": "Paper one.\nThe dam broke. ||||| Paper two. The dam has broken.",
            "summary": "– A dam broke, two papers say.",
        },
        {"text": "Only one paper.", "summary": "– One paper."},
    ),
    "newsroom": (
        {
            "text": "The ferry to the island sank in port.\n\nNobody was hurt.",
            "title": "Ferry sinks",
            "summary": "A ferry sank in port.",
        },
        {"text": "A goat won.", "title": "Goat race", "summary": "It won."},
    ),
    "samsum": (
        {
            "dialogue": "Al: the sofa nice?\nBo: I <3 it > mine\nAl: k",
            "summary": "Bo likes Al's sofa.",
        },
        {"dialogue": "Cy: home?\nDi: soon", "summary": "Di will be home soon."},
    ),
    "xsum": (
        {
            "text": "The council met on Friday.\nIt agreed to plant 40 trees.",
            "summary": "A council is to plant trees.",
        },
        {"text": "Prices fell.", "summary": "Prices have fallen."},
    ),
    "ag_news_subset": (
        {
            "title": "Probe lands",
            "text": "A probe landed on Mars\\today.",
            "options": _TOPICS,
            "answer": "Science/Tech",
        },
        {
            "title": "Talks open",
            "text": "Envoys met in Geneva.",
            "options": _TOPICS,
            "answer": "World",
        },
    ),
    "opinion_abstracts_rotten_tomatoes": (
        {
            "critic_consensus": "Slow but rewarding.",
            "movie": "the long night",
            "first_review": "A slow film.",
            "numbered_reviews": "1. A slow film.\n2. Opinion 2.\n3. Opinion 3.\n4. Opinion 4.\n"
            "5. Opinion 5.\n6. Opinion 6.\n7. Opinion 7.\n8. Opinion 8.\n9. Opinion 9.\n"
            "10. Opinion 10.",
        },
        {
            "critic_consensus": "Nobody went.",
            "movie": "Unseen",
            "first_review": "",
            "numbered_reviews": "",
        },
    ),
    "opinion_abstracts_idebate": (
        {
            "claim": "Cages make animals ill.",
            "debate_name": "This House would close zoos",
            "argument_sentences": "1. Animals pace to and fro.\n2. They die young.",
        },
        {
            "claim": "Trams are clean.",
            "debate_name": "Trams for all",
            "argument_sentences": "1. Reason 1.\n2. Reason 2.\n3. Reason 3.\n4. Reason 4.\n"
            "5. Reason 5.\n6. Reason 6.\n7. Reason 7.\n8. Reason 8.\n9. Reason 9.\n10. Reason 10.",
        },
    ),
    "wiki_lingua_english_en": (
        {"source": "Wet soil rots roots, so water once a week.", "target": "Water once a week."},
        {"source": "Before you paint, sand the wood.", "target": "Sand the wood."},
    ),
}

DROPPED: dict[str, tuple[dict, ...]] = {
    "aeslc": (
        {"email_body": "\n \n", "subject_line": "Nothing inside\n"},
        {"email_body": "No subject here.", "subject_line": ""},
    ),
    "gigaword": (
        {"document": "UNK won the cup on sunday .", "summary": "the cup is won"},
        {"document": "the index rose .", "summary": "index up #.# percent"},
    ),
    "multi_news": ({"document": " ", "summary": "– A summary of nothing."},),
    "ag_news_subset": ({"label": 1, "title": "", "description": "A match was played."},),
}
