"""Rows of ReCoRD and Cosmos QA and what becomes of them."""

_STORY = "Mayor Ann Ek opened the bridge at Vik on Friday. 'It took years,' said Ek.\n'Too many.'"


def _record(query: str, entities: list[str], answers: list[str], number: int) -> dict:
    return {
        "passage": f"{_STORY} \n@highlight\nBridge at Vik opens\n@highlight\nBo Hall built it",
        "query": query,
        "entities": entities,
        "answers": answers,
        "idx": {"passage": 6, "query": number},
    }


def _cosmos(label: int) -> dict:
    return {
        "context": "I packed the tent last night . This morning the radio spoke of a storm .",
        "question": "Why might I stay at home today ?",
        "answer0": "The tent is not packed .",
        "answer1": "The weather will be bad .",
        "answer2": "None of the above choices .",
        "answer3": "I have no radio .",
        "label": label,
        "id": "3BC##blog_1##q1",
    }


ROWS: dict[str, tuple[dict, ...]] = {
    "record": (
        # Two right answers; one entity stands only in the bullet points.
        _record(
            "Asked who paid, @placeholder's answer was brief.",
            ["Ann Ek", "Bo Hall", "Ek", "Vik"],
            ["Ann Ek", "Ek"],
            40,
        ),
        # The gap comes first.
        _record("@placeholder is a town of 900.", ["Ek", "Vik"], ["Vik"], 41),
        # The gap comes last, and a line ends before it.
        _record("He loves his bridge.\nHis name is @placeholder", ["Bo Hall"], ["Bo Hall"], 42),
    ),
    "cosmos_qa": (_cosmos(1), _cosmos(2)),
}

_COSMOS_OPTIONS = [
    "The tent is not packed .",
    "The weather will be bad .",
    "None of the above choices .",
    "I have no radio .",
]

PROCESSED: dict[str, tuple[dict, ...]] = {
    "record": (
        {
            "passage": _STORY,
            "query": "Asked who paid,",
            "options": [
                "Ann Ek's answer was brief.",
                "Bo Hall's answer was brief.",
                "Ek's answer was brief.",
                "Vik's answer was brief.",
            ],
            "answer": "Ann Ek's answer was brief.",
            "answers": ["Ann Ek's answer was brief.", "Ek's answer was brief."],
            "idx/passage": 6,
            "idx/query": 40,
        },
        {
            "passage": _STORY,
            "query": "",
            "options": ["Ek is a town of 900.", "Vik is a town of 900."],
            "answer": "Vik is a town of 900.",
            "answers": ["Vik is a town of 900."],
            "idx/passage": 6,
            "idx/query": 41,
        },
        {
            "passage": _STORY,
            "query": "He loves his bridge.\nHis name is",
            "options": ["Bo Hall"],
            "answer": "Bo Hall",
            "answers": ["Bo Hall"],
            "idx/passage": 6,
            "idx/query": 42,
        },
    ),
    "cosmos_qa": (
        {
            "context": "I packed the tent last night . This morning the radio spoke of a storm .",
            "question": "Why might I stay at home today ?",
            "options": _COSMOS_OPTIONS,
            "answer": "The weather will be bad .",
        },
        {
            "context": "I packed the tent last night . This morning the radio spoke of a storm .",
            "question": "Why might I stay at home today ?",
            "options": _COSMOS_OPTIONS,
            "answer": "None of the above choices .",
        },
    ),
}

DROPPED: dict[str, tuple[dict, ...]] = {"cosmos_qa": (_cosmos(-1),)}
