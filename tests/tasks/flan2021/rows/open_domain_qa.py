"""Rows of the closed-book question answering data sets and what becomes of them."""

_NO_PAGES = {"doc_source": [], "filename": [], "title": [], "wiki_context": []}
_NO_RESULTS = {
    "description": [],
    "filename": [],
    "rank": [],
    "title": [],
    "url": [],
    "search_context": [],
}


def _trivia(
    question: str, value: str, normalized_value: str, normalized_aliases: list[str]
) -> dict:
    return {
        "question": question,
        "question_id": "tc_9",
        "question_source": "http://quiz.example/",
        "entity_pages": _NO_PAGES,
        "search_results": _NO_RESULTS,
        "answer": {
            "aliases": [value],
            "normalized_aliases": normalized_aliases,
            "matched_wiki_entity_name": "",
            "normalized_matched_wiki_entity_name": "",
            "normalized_value": normalized_value,
            "type": "WikipediaEntity",
            "value": value,
        },
    }


def _arc(question: str, texts: list[str], labels: list[int], key: int) -> dict:
    return {
        "id": "Sample_1",
        "question": question,
        "choices": {"text": texts, "label": labels},
        "answerKey": key,
    }


_GAS = _arc("Which of these is a gas?", ["ice", "steam", "salt", "sand"], [0, 1, 2, 3], 1)
_BONES = _arc(
    "What do the bones of a bird have that helps it to fly?",
    ["hollow spaces", "extra water", "more iron", "thick walls"],
    [0, 1, 2, 3],
    0,
)
# The labels say which answer is right, not the order.
_UNORDERED = _arc("Which planet has rings?", ["Mars", "Venus", "Saturn", "Earth"], [3, 2, 1, 0], 1)

_ARC_ROWS = (_GAS, _BONES, _UNORDERED)
_ARC_PROCESSED = (
    {
        "question": "Which of these is a gas?",
        "options": ["ice", "steam", "salt", "sand"],
        "answer": "steam",
    },
    {
        "question": "What do the bones of a bird have that helps it to fly?",
        "options": ["hollow spaces", "extra water", "more iron", "thick walls"],
        "answer": "hollow spaces",
    },
    {
        "question": "Which planet has rings?",
        "options": ["Mars", "Venus", "Saturn", "Earth"],
        "answer": "Saturn",
    },
)
_ARC_DROPPED = (
    _arc("Which of these floats on water?", ["cork", "lead", "iron"], [0, 1, 2], 0),
    _arc("Which of these is a metal?", ["oak", "wool", "tin", "clay", "wax"], [0, 1, 2, 3, 4], 2),
)

ROWS: dict[str, tuple[dict, ...]] = {
    "trivia_qa": (
        _trivia(
            "Which river runs through the city of Cologne?",
            "The Rhine",
            "rhine",
            ["rhine", "rhine river", "rhein"],
        ),
        _trivia("In which sport is a shuttlecock hit?", "Badminton", "badminton", ["badminton"]),
    ),
    "natural_questions": (
        {
            "question": "when did the first tram run in lisbon",
            "answer": ["1901", "31 August 1901"],
        },
        {"question": "who designed the eiffel tower ?", "answer": ["Stephen Sauvestre"]},
    ),
    "arc_challenge": _ARC_ROWS,
    "arc_easy": _ARC_ROWS,
}

PROCESSED: dict[str, tuple[dict, ...]] = {
    "trivia_qa": (
        {
            "question": "Which river runs through the city of Cologne?",
            "answer": "rhine",
            "answers": ["rhine", "rhine river", "rhein"],
        },
        {
            "question": "In which sport is a shuttlecock hit?",
            "answer": "badminton",
            "answers": ["badminton"],
        },
    ),
    "natural_questions": (
        {
            "question": "when did the first tram run in lisbon?",
            "answer": "1901",
            "answers": ["1901", "31 August 1901"],
        },
        {
            "question": "who designed the eiffel tower?",
            "answer": "Stephen Sauvestre",
            "answers": ["Stephen Sauvestre"],
        },
    ),
    "arc_challenge": _ARC_PROCESSED,
    "arc_easy": _ARC_PROCESSED,
}

DROPPED: dict[str, tuple[dict, ...]] = {
    "trivia_qa": (
        _trivia("Which bird lays the largest egg?", "<unk>", "<unk>", []),
        _trivia("Which bird lays the smallest egg?", "", "", ["hummingbird"]),
    ),
    "arc_challenge": _ARC_DROPPED,
    "arc_easy": _ARC_DROPPED,
}
