"""Raw rows of the clusters of one kind of data, and what processing makes of them."""

_WIC = ["different meanings", "the same meaning"]
_COLA = ["unacceptable", "acceptable"]
_TREC = ["description", "entity", "abbreviation", "human", "numeric", "location"]

_FERRY = {
    "title": "Halden ferry",
    "section_title": "History",
    "background": "The Halden ferry crosses the Ulv fjord.",
    "context": "The first boat, the Svale, sailed in 1890. It sank in 1902. CANNOTANSWER",
}

ROWS = {
    "math_dataset": (
        {"question": "Solve 3*x - 7 = 2*x + 1 for x.", "answer": "8"},
        {"question": "Solve 0 = 5*q + 30 - 5 for q.", "answer": "-5"},
    ),
    "quac": (
        # Annotators of validation rows differ, and repeat each other.
        {
            **_FERRY,
            "question": "What became of it?",
            "followup": "m",
            "yesno": "x",
            "answers": {
                "text": ["It sank in 1902.", "sank", "It sank in 1902."],
                "answer_start": [43, 46, 43],
            },
            "orig_answer": {"text": "sank", "answer_start": 46},
        },
        {
            **_FERRY,
            "question": "Who built the boat?",
            "followup": "n",
            "yesno": "x",
            "answers": {"text": ["CANNOTANSWER"], "answer_start": [60]},
            "orig_answer": {"text": "CANNOTANSWER", "answer_start": 60},
        },
    ),
    "coqa": (
        {
            "source": "mctest",
            "story": "Pip the dog had a blue ball. He lost it in the park.",
            "questions": ["What animal was Pip?", "What did he have?", "Which colour?"],
            "answers": {
                "input_text": ["a dog", "a ball", "blue"],
                "answer_start": [0, 12, 18],
                "answer_end": [11, 27, 27],
            },
        },
        {
            "source": "wikipedia",
            "story": "Lake Orm lies in the north.",
            "questions": ["Where is Lake Orm? "],
            "answers": {
                "input_text": ["in the north\n"],
                "answer_start": [14],
                "answer_end": [26],
            },
        },
    ),
    "wic": (
        {
            "word": "bank",
            "sentence1": "We sat on the bank of the stream.",
            "sentence2": "She put her wages in the bank.",
            "start1": 14,
            "start2": 25,
            "end1": 18,
            "end2": 29,
            "idx": 0,
            "label": 0,
        },
        {
            "word": "boil",
            "sentence1": "Boil the potatoes.",
            "sentence2": "The eggs were boiled.",
            "start1": 0,
            "start2": 14,
            "end1": 4,
            "end2": 20,
            "idx": 1,
            "label": 1,
        },
    ),
    "cola": (
        {"sentence": "The baker sold her the last loaf.", "label": 1, "idx": 0},
        {"sentence": "Him were gone the shop.", "label": 0, "idx": 1},
    ),
    "trec": (
        {
            "label-coarse": 4,
            "label-fine": 40,
            "text": "How far is the moon from the earth ?",
        },
        {
            "label-coarse": 2,
            "label-fine": 3,
            "text": "What does NATO stand for ?",
        },
    ),
}

PROCESSED = {
    "math_dataset": (
        {"question": "Solve 3*x - 7 = 2*x + 1 for x.", "answer": "8"},
        {"question": "Solve 0 = 5*q + 30 - 5 for q.", "answer": "-5"},
    ),
    "quac": (
        {
            "title": "Halden ferry",
            "background": "The Halden ferry crosses the Ulv fjord.",
            "context": "The first boat, the Svale, sailed in 1890. It sank in 1902. CANNOTANSWER",
            "question": "What became of it?",
            "answer": "sank",
            "answers": ["sank", "It sank in 1902."],
        },
        {
            "title": "Halden ferry",
            "background": "The Halden ferry crosses the Ulv fjord.",
            "context": "The first boat, the Svale, sailed in 1890. It sank in 1902. CANNOTANSWER",
            "question": "Who built the boat?",
            "answer": "CANNOTANSWER",
            "answers": ["CANNOTANSWER"],
        },
    ),
    "coqa": (
        {
            "text": "Pip the dog had a blue ball. He lost it in the park.",
            "numbered_questions": (
                "1. What animal was Pip?\n2. What did he have?\n3. Which colour?"
            ),
            "numbered_answers": "1. a dog\n2. a ball\n3. blue",
        },
        {
            "text": "Lake Orm lies in the north.",
            "numbered_questions": "1. Where is Lake Orm?",
            "numbered_answers": "1. in the north",
        },
    ),
    "wic": (
        {
            "word": "bank",
            "sentence1": "We sat on the bank of the stream.",
            "sentence2": "She put her wages in the bank.",
            "options": _WIC,
            "answer": "different meanings",
        },
        {
            "word": "boil",
            "sentence1": "Boil the potatoes.",
            "sentence2": "The eggs were boiled.",
            "options": _WIC,
            "answer": "the same meaning",
        },
    ),
    "cola": (
        {
            "sentence": "The baker sold her the last loaf.",
            "options": _COLA,
            "answer": "acceptable",
        },
        {"sentence": "Him were gone the shop.", "options": _COLA, "answer": "unacceptable"},
    ),
    "trec": (
        {
            "text": "How far is the moon from the earth ?",
            "options": _TREC,
            "answer": "numeric",
        },
        {"text": "What does NATO stand for ?", "options": _TREC, "answer": "abbreviation"},
    ),
}
