"""Rows of the reading-comprehension data sets and what becomes of them."""

_FERRY = (
    "The ferry crosses the sound twice a day in winter and hourly in summer. It was built in 1931."
)
_NO_YES = ["no", "yes"]


def _drop(question: str, answer: str, validated_answers: list[str]) -> dict:
    return {
        "passage": "The Gulls scored in the 3rd and the 40th minute, the Terns only in the 80th.",
        "question": question,
        "answer": answer,
        "validated_answers": validated_answers,
        "query_id": "f0e1-40",
    }


def _multirc(response: str, label: int, answer: int) -> dict:
    return {
        "paragraph": "Ida lost her key. Her brother Per found it under the bench.",
        "question": "Who found the key?",
        "answer": response,
        "label": label,
        "idx": {"paragraph": 2, "question": 17, "answer": answer},
    }


def _openbookqa(stem: str, choices: tuple[str, str, str, str], fact: str, key: int) -> dict:
    return {
        "question": {
            "stem": stem,
            **{f"choice_{letter}": text for letter, text in zip("ABCD", choices, strict=True)},
        },
        "fact1": fact,
        "humanScore": 1.0,
        "clarity": 1.5,
        "turkIdAnonymized": "b356d338b7",
        "answerKey": key,
    }


ROWS: dict[str, tuple[dict, ...]] = {
    "squad_v1": (
        {
            "id": "q1",
            "title": "Ferries_of_Norway",
            "context": _FERRY,
            "question": "When was the ferry built?",
            "answers": {"text": ["1931", "in 1931", "1931"], "answer_start": [88, 85, 88]},
        },
        {
            "id": "q2",
            "title": "Ferries_of_Norway",
            "context": _FERRY,
            "question": "How often does the ferry cross in summer?",
            "answers": {"text": ["hourly"], "answer_start": [53]},
        },
    ),
    "squad_v2": (
        {
            "id": "q3",
            "title": "Ferries_of_Norway",
            "context": _FERRY,
            "plausible_answers": {"text": ["1931"], "answer_start": [88]},
            "question": "When was the ferry scrapped?",
            "is_impossible": True,
            "answers": {"text": [], "answer_start": []},
        },
        {
            "id": "q4",
            "title": "Sound",
            "context": _FERRY,
            "plausible_answers": {"text": [], "answer_start": []},
            "question": "What does the ferry cross?",
            "is_impossible": False,
            "answers": {"text": ["the sound", "sound"], "answer_start": [18, 22]},
        },
    ),
    "drop": (
        _drop("How many goals were scored?", "3", []),
        _drop("Which team scored last?", "Terns", ["the Terns", "Terns"]),
    ),
    "multirc": (_multirc("Her father", 0, 70), _multirc("Per", 1, 71)),
    "openbookqa": (
        _openbookqa(
            "A wet towel on a line will",
            ("freeze at noon", "lose its water to the air", "grow", "turn to salt"),
            "the sun's heat evaporates water",
            1,
        ),
        _openbookqa(
            "Which of these is a predator?",
            ("grass", "hare", "moss", "lynx"),
            "a predator eats other animals",
            3,
        ),
    ),
    "bool_q": (
        {
            "question": "is the sound crossed every hour in winter",
            "passage": _FERRY,
            "answer": False,
            "title": "Sound ferry",
        },
        {
            "question": "can you cross the sound by ferry",
            "passage": _FERRY,
            "answer": True,
            "title": "Sound ferry",
        },
    ),
}

PROCESSED: dict[str, tuple[dict, ...]] = {
    "squad_v1": (
        {
            "title": "Ferries of Norway",
            "context": _FERRY,
            "question": "When was the ferry built?",
            "answer": "1931",
            "answers": ["1931", "in 1931", "1931"],
        },
        {
            "title": "Ferries of Norway",
            "context": _FERRY,
            "question": "How often does the ferry cross in summer?",
            "answer": "hourly",
            "answers": ["hourly"],
        },
    ),
    "squad_v2": (
        {
            "title": "Ferries of Norway",
            "context": _FERRY,
            "question": "When was the ferry scrapped?",
            "answer": "unanswerable",
            "answers": ["unanswerable"],
        },
        {
            "title": "Sound",
            "context": _FERRY,
            "question": "What does the ferry cross?",
            "answer": "the sound",
            "answers": ["the sound", "sound"],
        },
    ),
    "drop": (
        {
            "context": "The Gulls scored in the 3rd and the 40th minute, the Terns only in the "
            "80th.",
            "question": "How many goals were scored?",
            "answer": "3",
            "answers": ["3"],
        },
        {
            "context": "The Gulls scored in the 3rd and the 40th minute, the Terns only in the "
            "80th.",
            "question": "Which team scored last?",
            "answer": "Terns",
            "answers": ["Terns"],
        },
    ),
    "multirc": (
        {
            "paragraph": "Ida lost her key. Her brother Per found it under the bench.",
            "question": "Who found the key?",
            "response": "Her father",
            "options": _NO_YES,
            "answer": "no",
            "idx/paragraph": 2,
            "idx/question": 17,
            "idx/answer": 70,
        },
        {
            "paragraph": "Ida lost her key. Her brother Per found it under the bench.",
            "question": "Who found the key?",
            "response": "Per",
            "options": _NO_YES,
            "answer": "yes",
            "idx/paragraph": 2,
            "idx/question": 17,
            "idx/answer": 71,
        },
    ),
    "openbookqa": (
        {
            "question": "A wet towel on a line will",
            "fact": "the sun's heat evaporates water",
            "options": ["freeze at noon", "lose its water to the air", "grow", "turn to salt"],
            "answer": "lose its water to the air",
        },
        {
            "question": "Which of these is a predator?",
            "fact": "a predator eats other animals",
            "options": ["grass", "hare", "moss", "lynx"],
            "answer": "lynx",
        },
    ),
    "bool_q": (
        {
            "title": "Sound ferry",
            "text": _FERRY,
            "question": "is the sound crossed every hour in winter",
            "options": _NO_YES,
            "answer": "no",
        },
        {
            "title": "Sound ferry",
            "text": _FERRY,
            "question": "can you cross the sound by ferry",
            "options": _NO_YES,
            "answer": "yes",
        },
    ),
}

DROPPED: dict[str, tuple[dict, ...]] = {
    "drop": (_drop("In what month was the match?", "", []),),
}
