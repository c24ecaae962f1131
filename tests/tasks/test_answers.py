import numpy as np
import pytest

from flan_jax.errors import NotFoundError
from tasks.answers import answer_postprocessor, canonical, extract

NUMBERS = [
    ("So the answer is 42.", "42"),
    ("The answer is $1,234.50 in all.", "1234.5"),
    ("Final answer: -7", "-7"),
    ("The answer must therefore be 12.0", "12"),
    ("Hence the answer must be 100.", "100"),
    ("the ANSWER IS 50%", "50"),
    ("The answer is 1/2.", "1/2"),
    ("The answer is 3 + 4 = 7 apples.", "7"),
    ("First the answer is 5. No, wait: the answer is 6.", "6"),
    ("18\nAnswer: 1,000,000.", "1000000"),
    ("Answer = .5", "0.5"),
    ("42", "42"),
    ("42 apples", "42"),
    ("They have 3 apples and then buy 4 more of them.", None),
    ("The answer is hard to tell.", None),
    ("The answering machine has 4 buttons, which is a lot", None),
    ("", None),
]
LETTERS = [
    ("So the answer is (C).", "(C)"),
    ("The answer is C.", "(C)"),
    ("Answer: c) because", "(C)"),
    ("The answer is Option D", "(D)"),
    ("The answer is (b) 12 km", "(B)"),
    ("The answer is A", "(A)"),
    ("The answer is therefore B because it fits.", "(B)"),
    ("(E)", "(E)"),
    ("The answer is A horse.", None),
    ("The answer is a horse.", None),
    ("The answer is not given.", None),
    ("All of them seem right to me in some way (A)", None),
]
YES_NO = [
    ("So the answer is yes.", "yes"),
    ("The answer is: No, it cannot.", "no"),
    ("The answer is true", "yes"),
    ("FALSE", "no"),
    ("The answer is that nobody knows.", None),
    ("The answer is yesterday.", None),
    ("yes and no are both possible here", None),
]
TEXTS = [
    ("It is dry. So the answer is living room.", "living room"),
    ("Answer: 'Living  Room'.\nMore", "living room"),
    ("The answer is then have.", "then have"),
    ("The answer is therefore cure.", "cure"),
    ("The answer is", None),
    ("living room", None),
]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        *(("number", *case) for case in NUMBERS),
        *(("letter", *case) for case in LETTERS),
        *(("yes_no", *case) for case in YES_NO),
        *(("text", *case) for case in TEXTS),
    ],
)
def test_accepted_forms(kind, text, expected):
    assert extract(text, kind) == expected


def test_a_bare_answer_counts_where_it_was_asked_for():
    assert extract("living room", "text", bare=True) == "living room"
    assert extract("living\nroom", "text", bare=True) is None
    assert extract("word " * 31, "text", bare=True) is None


def test_canonical_gives_references_the_extracted_form():
    assert canonical("1,234", "number") == "1234"
    assert canonical("c", "letter") == "c"
    assert canonical("Washington D.C", "number") == "washington d.c"
    assert canonical(" Energy. ", "text") == "energy"


def test_postprocessor_reads_the_answer_feature_for_targets():
    postprocess = answer_postprocessor("letter")
    example = {"answer": np.array(b"(C)", dtype=object)}
    assert postprocess("reasons. Answer: (D).", example=example, is_target=True) == "(C)"
    assert postprocess("reasons. Answer: (D).", example={"answer": b"(C)"}) == "(D)"
    assert postprocess("no letter anywhere in this text") is None


def test_unknown_kind_names_the_nearest():
    with pytest.raises(NotFoundError, match="Did you mean 'number'"):
        answer_postprocessor("numbers")
