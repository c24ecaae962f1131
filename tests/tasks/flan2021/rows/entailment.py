"""Raw rows of the entailment cluster, and what processing makes of them."""

_YES_NO = ["yes", "no"]
_ANLI = ["Yes", "It's impossible to say", "No"]
_THREE = ["yes", "it is not possible to tell", "no"]

ROWS = {
    "anli_r1": (
        {
            "uid": "a1",
            "context": "The Lenne Bridge was opened in 1911. It carries two railway tracks.",
            "hypothesis": "Trains have crossed the Lenne Bridge.",
            "label": 0,
        },
        {
            "uid": "a2",
            "context": "The Lenne Bridge was opened in 1911. It carries two railway tracks.",
            "hypothesis": "The Lenne Bridge is painted green.",
            "label": 1,
        },
        {
            "uid": "a3",
            "context": "The Lenne Bridge was opened in 1911. It carries two railway tracks.",
            "hypothesis": "The Lenne Bridge was built after 1920.",
            "label": 2,
        },
    ),
    "anli_r2": (
        {
            "uid": "b1",
            "context": "Oda Brandt (born 4 May 1962) is a Norwegian rower and coach.",
            "hypothesis": "Oda Brandt coached in Sweden.",
            "label": 1,
        },
        {
            "uid": "b2",
            "context": "Oda Brandt (born 4 May 1962) is a Norwegian rower and coach.",
            "hypothesis": "Brandt was born in autumn.",
            "label": 2,
        },
    ),
    "anli_r3": (
        {
            "uid": "c1",
            "context": 'Mina put the kettle on. "Tea?" she asked. Her brother shook his head.',
            "hypothesis": "Mina's brother declined the tea.",
            "label": 0,
        },
        {
            "uid": "c2",
            "context": 'Mina put the kettle on. "Tea?" she asked. Her brother shook his head.',
            "hypothesis": "Mina's brother prefers coffee.",
            "label": 1,
        },
    ),
    "cb": (
        {
            "premise": "``Did they notice that the lamp was gone?'' Ines asked.",
            "hypothesis": "the lamp was gone",
            "label": 0,
            "idx": 0,
        },
        {
            "premise": "A: Are the roads dry? B: I don't think they are dry at all.",
            "hypothesis": "the roads are dry",
            "label": 1,
            "idx": 1,
        },
        {
            "premise": "If the ferry is late, do we wait? He wondered if the ferry was late.",
            "hypothesis": "the ferry was late",
            "label": 2,
            "idx": 2,
        },
    ),
    "rte": (
        {
            "premise": "The mayor of Brack, Tom Eide, opened the new library on Monday.",
            "hypothesis": "Tom Eide is the mayor of Brack.",
            "label": 0,
            "idx": 10,
        },
        {
            "premise": "The mayor of Brack, Tom Eide, opened the new library on Monday.",
            "hypothesis": "Tom Eide designed the library.",
            "label": 1,
            "idx": 11,
        },
    ),
    "mnli_matched": (
        {
            "premise": "yeah we only had the one car back then",
            "hypothesis": "We used to own a single car.",
            "label": 0,
            "idx": 0,
        },
        {
            "premise": "The committee met twice in March.",
            "hypothesis": "The committee has nine members.",
            "label": 1,
            "idx": 1,
        },
    ),
    "mnli_mismatched": (
        {
            "premise": "The letter was addressed to nobody in particular.",
            "hypothesis": "The letter was addressed to the king.",
            "label": 2,
            "idx": 0,
        },
        {
            "premise": "Shoes must be cleaned before the parade.",
            "hypothesis": "The parade is on a Sunday.",
            "label": 1,
            "idx": 1,
        },
    ),
    "qnli": (
        {
            "question": "When was the harbour wall finished?",
            "sentence": "Work on the harbour wall ended in 1848.",
            "label": 0,
            "idx": 3,
        },
        {
            "question": "Who paid for the harbour wall?",
            "sentence": "Work on the harbour wall ended in 1848.",
            "label": 1,
            "idx": 4,
        },
    ),
    # The labels are the other way round than those of QNLI.
    "wnli": (
        {
            "sentence1": "The jug did not fit in the box because it was too tall.",
            "sentence2": "The box was too tall.",
            "label": 0,
            "idx": 0,
        },
        {
            "sentence1": "The jug did not fit in the box because it was too tall.",
            "sentence2": "The jug was too tall.",
            "label": 1,
            "idx": 1,
        },
    ),
    "snli": (
        {
            "premise": "Two boys kick a ball on a beach.",
            "hypothesis": "Children are outdoors.",
            "label": 0,
        },
        {
            "premise": "Two boys kick a ball on a beach.",
            "hypothesis": "The boys are asleep.",
            "label": 2,
        },
    ),
}

# Annotators did not agree on a label.
DROPPED = {
    "snli": (
        {
            "premise": "A woman in a red coat waits.",
            "hypothesis": "A lady waits for a tram.",
            "label": -1,
        },
    ),
}

PROCESSED = {
    "anli_r1": (
        {
            "context": "The Lenne Bridge was opened in 1911. It carries two railway tracks.",
            "hypothesis": "Trains have crossed the Lenne Bridge.",
            "options": _ANLI,
            "answer": "Yes",
        },
        {
            "context": "The Lenne Bridge was opened in 1911. It carries two railway tracks.",
            "hypothesis": "The Lenne Bridge is painted green.",
            "options": _ANLI,
            "answer": "It's impossible to say",
        },
        {
            "context": "The Lenne Bridge was opened in 1911. It carries two railway tracks.",
            "hypothesis": "The Lenne Bridge was built after 1920.",
            "options": _ANLI,
            "answer": "No",
        },
    ),
    "anli_r2": (
        {
            "context": "Oda Brandt (born 4 May 1962) is a Norwegian rower and coach.",
            "hypothesis": "Oda Brandt coached in Sweden.",
            "options": _ANLI,
            "answer": "It's impossible to say",
        },
        {
            "context": "Oda Brandt (born 4 May 1962) is a Norwegian rower and coach.",
            "hypothesis": "Brandt was born in autumn.",
            "options": _ANLI,
            "answer": "No",
        },
    ),
    "anli_r3": (
        {
            "context": 'Mina put the kettle on. "Tea?" she asked. Her brother shook his head.',
            "hypothesis": "Mina's brother declined the tea.",
            "options": _ANLI,
            "answer": "Yes",
        },
        {
            "context": 'Mina put the kettle on. "Tea?" she asked. Her brother shook his head.',
            "hypothesis": "Mina's brother prefers coffee.",
            "options": _ANLI,
            "answer": "It's impossible to say",
        },
    ),
    "cb": (
        {
            "premise": "``Did they notice that the lamp was gone?'' Ines asked.",
            "hypothesis": "the lamp was gone",
            "options": ["Yes", "No", "It's impossible to say"],
            "answer": "Yes",
        },
        {
            "premise": "A: Are the roads dry? B: I don't think they are dry at all.",
            "hypothesis": "the roads are dry",
            "options": ["Yes", "No", "It's impossible to say"],
            "answer": "No",
        },
        {
            "premise": "If the ferry is late, do we wait? He wondered if the ferry was late.",
            "hypothesis": "the ferry was late",
            "options": ["Yes", "No", "It's impossible to say"],
            "answer": "It's impossible to say",
        },
    ),
    "rte": (
        {
            "premise": "The mayor of Brack, Tom Eide, opened the new library on Monday.",
            "hypothesis": "Tom Eide is the mayor of Brack.",
            "options": _YES_NO,
            "answer": "yes",
        },
        {
            "premise": "The mayor of Brack, Tom Eide, opened the new library on Monday.",
            "hypothesis": "Tom Eide designed the library.",
            "options": _YES_NO,
            "answer": "no",
        },
    ),
    "mnli_matched": (
        {
            "premise": "yeah we only had the one car back then",
            "hypothesis": "We used to own a single car.",
            "options": _THREE,
            "answer": "yes",
        },
        {
            "premise": "The committee met twice in March.",
            "hypothesis": "The committee has nine members.",
            "options": _THREE,
            "answer": "it is not possible to tell",
        },
    ),
    "mnli_mismatched": (
        {
            "premise": "The letter was addressed to nobody in particular.",
            "hypothesis": "The letter was addressed to the king.",
            "options": _THREE,
            "answer": "no",
        },
        {
            "premise": "Shoes must be cleaned before the parade.",
            "hypothesis": "The parade is on a Sunday.",
            "options": _THREE,
            "answer": "it is not possible to tell",
        },
    ),
    "qnli": (
        {
            "question": "When was the harbour wall finished?",
            "sentence": "Work on the harbour wall ended in 1848.",
            "options": _YES_NO,
            "answer": "yes",
        },
        {
            "question": "Who paid for the harbour wall?",
            "sentence": "Work on the harbour wall ended in 1848.",
            "options": _YES_NO,
            "answer": "no",
        },
    ),
    "wnli": (
        {
            "sentence1": "The jug did not fit in the box because it was too tall.",
            "sentence2": "The box was too tall.",
            "options": ["no", "yes"],
            "answer": "no",
        },
        {
            "sentence1": "The jug did not fit in the box because it was too tall.",
            "sentence2": "The jug was too tall.",
            "options": ["no", "yes"],
            "answer": "yes",
        },
    ),
    "snli": (
        {
            "premise": "Two boys kick a ball on a beach.",
            "hypothesis": "Children are outdoors.",
            "options": _THREE,
            "answer": "yes",
        },
        {
            "premise": "Two boys kick a ball on a beach.",
            "hypothesis": "The boys are asleep.",
            "options": _THREE,
            "answer": "no",
        },
    ),
}
