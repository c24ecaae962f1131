"""Raw rows of the coreference cluster, and what processing makes of them."""

ROWS = {
    "definite_pronoun_resolution": (
        {
            "sentence": "The bees left the hive because they were disturbed.",
            "pronoun": "they",
            "candidates": ["The bees", "the hive"],
            "label": 0,
        },
        {
            "sentence": "Nora thanked Petra after she fixed the bike.",
            "pronoun": "she",
            "candidates": ["Nora", "Petra"],
            "label": 1,
        },
    ),
    "winogrande": (
        {
            "sentence": "Lena took the soup off the stove but left the rice, so the _ burned.",
            "option1": "soup",
            "option2": "rice",
            "label": 1,
        },
        # What comes after the blank need not start with a space.
        {
            "sentence": "Omar is taller than Ravi. He never borrows _'s coat.  Why?",
            "option1": "Omar",
            "option2": "Ravi",
            "label": 1,
        },
        {
            "sentence": "The jar did not fit in the bag, so we left behind the _.",
            "option1": "jar",
            "option2": "bag",
            "label": 0,
        },
    ),
    "wsc": (
        # Both come twice, and the noun phrase stands before a comma.
        {
            "text": "When Al met Bob, he said that he liked Bob, and he smiled.",
            "span1_index": 3,
            "span1_text": "Bob",
            "span2_index": 4,
            "span2_text": "he",
            "label": 0,
            "idx": 0,
        },
        # The pronoun is part of the noun phrase, and comes after a quotation mark.
        {
            "text": 'They said: "Their mother left."',
            "span1_index": 2,
            "span1_text": "Their mother",
            "span2_index": 2,
            "span2_text": "their",
            "label": 0,
            "idx": 1,
        },
        # The noun phrase has a capital, a line break and a full stop that the text has not. The
        # index of the pronoun is wrong by one, and the word "item" is not "it".
        {
            "text": "On Monday the item on the table fell when the cat hit it , I fear.",
            "span1_index": 2,
            "span1_text": "The\nitem.",
            "span2_index": 11,
            "span2_text": "it",
            "label": 1,
            "idx": 2,
        },
        {
            "text": 'Dr. Ege told Ana: "My (small) car is yours."',
            "span1_index": 0,
            "span1_text": "Dr. Ege",
            "span2_index": 4,
            "span2_text": "My",
            "label": 1,
            "idx": 3,
        },
    ),
    "wsc273": (
        {
            "text": "Zoë put the clock beside the vase, and then it fell down.",
            "option1": "The clock",
            "option1_normalized": "the clock",
            "option2": "The vase",
            "option2_normalized": "the vase",
            "pronoun_start": 44,
            "pronoun_end": 46,
            "pronoun_text": "it",
            "label": 1,
            "idx": 0,
        },
        # A possessive pronoun.
        {
            "text": "Ida met Tess and took her bag.",
            "option1": "Ida",
            "option1_normalized": "Ida",
            "option2": "Tess",
            "option2_normalized": "Tess",
            "pronoun_start": 22,
            "pronoun_end": 25,
            "pronoun_text": "her",
            "label": 1,
            "idx": 1,
        },
        # Only a full stop comes after the pronoun.
        {
            "text": "The dogs barked at the cats, so we fed them.",
            "option1": "The dogs",
            "option1_normalized": "the dogs",
            "option2": "The cats",
            "option2_normalized": "the cats",
            "pronoun_start": 39,
            "pronoun_end": 43,
            "pronoun_text": "them",
            "label": 0,
            "idx": 2,
        },
    ),
}

PROCESSED = {
    "definite_pronoun_resolution": (
        {
            "sentence": "The bees left the hive because they were disturbed.",
            "pronoun": "they",
            "options": ["The bees", "the hive"],
            "answer": "The bees",
        },
        {
            "sentence": "Nora thanked Petra after she fixed the bike.",
            "pronoun": "she",
            "options": ["Nora", "Petra"],
            "answer": "Petra",
        },
    ),
    "winogrande": (
        {
            "context": "Lena took the soup off the stove but left the rice, so the",
            "options": ["soup burned.", "rice burned."],
            "answer": "rice burned.",
        },
        {
            "context": "Omar is taller than Ravi. He never borrows",
            "options": ["Omar's coat.  Why?", "Ravi's coat.  Why?"],
            "answer": "Ravi's coat.  Why?",
        },
        {
            "context": "The jar did not fit in the bag, so we left behind the",
            "options": ["jar.", "bag."],
            "answer": "jar.",
        },
    ),
    "wsc": (
        {
            "context": "When Al met [Bob], *he* said that he liked Bob, and he smiled.",
            "text1": "Bob",
            "text2": "he",
            "options": ["no", "yes"],
            "answer": "no",
        },
        {
            "context": 'They said: "[*Their* mother] left."',
            "text1": "Their mother",
            "text2": "their",
            "options": ["no", "yes"],
            "answer": "no",
        },
        {
            "context": "On Monday [the item] on the table fell when the cat hit *it* , I fear.",
            "text1": "The item.",
            "text2": "it",
            "options": ["no", "yes"],
            "answer": "yes",
        },
        {
            "context": '[Dr. Ege] told Ana: "*My* (small) car is yours."',
            "text1": "Dr. Ege",
            "text2": "My",
            "options": ["no", "yes"],
            "answer": "yes",
        },
    ),
    "wsc273": (
        {
            "context": "Zoë put the clock beside the vase, and then",
            "options": ["the clock fell down.", "the vase fell down."],
            "answer": "the vase fell down.",
        },
        {
            "context": "Ida met Tess and took",
            "options": ["Ida's bag.", "Tess's bag."],
            "answer": "Tess's bag.",
        },
        {
            "context": "The dogs barked at the cats, so we fed",
            "options": ["the dogs.", "the cats."],
            "answer": "the dogs.",
        },
    ),
}
