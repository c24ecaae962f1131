"""Rows of the paraphrase data sets and what becomes of them."""

_YES_NO = ["no", "yes"]
_SIMILARITY = ["0", "1", "2", "3", "4", "5"]

ROWS: dict[str, tuple[dict, ...]] = {
    "glue_mrpc": (
        {
            "sentence1": "The mayor said the bridge will open in May .",
            "sentence2": "The bridge is to open in May , the mayor said .",
            "label": 1,
            "idx": 0,
        },
        {
            "sentence1": "Shares of the airline rose 4 percent on Monday .",
            "sentence2": "The airline 's shares have risen since it cut 400 jobs .",
            "label": 0,
            "idx": 17,
        },
    ),
    "glue_qqp": (
        {
            "question1": 'What does ""ad hoc"" mean?',
            "question2": "What is the meaning of 'ad hoc'?",
            "label": 1,
            "idx": 3,
        },
        {
            "question1": "How do I bake bread without yeast?",
            "question2": 'Why is bread with yeast called ""leavened"" bread?',
            "label": 0,
            "idx": 4,
        },
    ),
    "paws_wiki": (
        {
            "sentence1": "The river Aln flows from Whitting to the sea at Amble .",
            "sentence2": "The river Aln flows from Amble to the sea at Whitting .",
            "label": 0,
        },
        {
            "sentence1": "In 1904 he moved to Leeds and later to York .",
            "sentence2": "He moved to Leeds in 1904 and to York later .",
            "label": 1,
        },
    ),
    "stsb": (
        {
            "sentence1": "A man plays a flute.",
            "sentence2": "A man plays the flute.",
            "label": 4.6,
            "idx": 0,
        },
        {
            "sentence1": "A dog runs on a beach.",
            "sentence2": "A dog sleeps on a sofa.",
            "label": 1.25,
            "idx": 1,
        },
        # A half goes to the even neighbour.
        {
            "sentence1": "Two girls are singing.",
            "sentence2": "Two girls are dancing and singing.",
            "label": 2.5,
            "idx": 2,
        },
        {
            "sentence1": "Rain is expected in Oslo.",
            "sentence2": "The bank has a new head.",
            "label": 0.0,
            "idx": 3,
        },
    ),
}

PROCESSED: dict[str, tuple[dict, ...]] = {
    "glue_mrpc": (
        {
            "sentence1": "The mayor said the bridge will open in May .",
            "sentence2": "The bridge is to open in May , the mayor said .",
            "options": _YES_NO,
            "answer": "yes",
        },
        {
            "sentence1": "Shares of the airline rose 4 percent on Monday .",
            "sentence2": "The airline 's shares have risen since it cut 400 jobs .",
            "options": _YES_NO,
            "answer": "no",
        },
    ),
    "glue_qqp": (
        {
            "question1": "What does 'ad hoc' mean?",
            "question2": "What is the meaning of 'ad hoc'?",
            "options": _YES_NO,
            "answer": "yes",
        },
        {
            "question1": "How do I bake bread without yeast?",
            "question2": "Why is bread with yeast called 'leavened' bread?",
            "options": _YES_NO,
            "answer": "no",
        },
    ),
    "paws_wiki": (
        {
            "sentence1": "The river Aln flows from Whitting to the sea at Amble .",
            "sentence2": "The river Aln flows from Amble to the sea at Whitting .",
            "options": _YES_NO,
            "answer": "no",
        },
        {
            "sentence1": "In 1904 he moved to Leeds and later to York .",
            "sentence2": "He moved to Leeds in 1904 and to York later .",
            "options": _YES_NO,
            "answer": "yes",
        },
    ),
    "stsb": (
        {
            "sentence1": "A man plays a flute.",
            "sentence2": "A man plays the flute.",
            "options": _SIMILARITY,
            "answer_str": "5",
            "answer": "5",
        },
        {
            "sentence1": "A dog runs on a beach.",
            "sentence2": "A dog sleeps on a sofa.",
            "options": _SIMILARITY,
            "answer_str": "1",
            "answer": "1",
        },
        {
            "sentence1": "Two girls are singing.",
            "sentence2": "Two girls are dancing and singing.",
            "options": _SIMILARITY,
            "answer_str": "2",
            "answer": "2",
        },
        {
            "sentence1": "Rain is expected in Oslo.",
            "sentence2": "The bank has a new head.",
            "options": _SIMILARITY,
            "answer_str": "0",
            "answer": "0",
        },
    ),
}

DROPPED: dict[str, tuple[dict, ...]] = {}
