"""Wordings of the translation cluster; the six WMT16 pairs share one entry."""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "para_crawl_enes": {
        "{sent2}": (
            "Translate this text from {lang1} into {lang2}:\n\n{sent1}",
            "{sent1}\n\nWhat is the {lang2} version of the text above?",
            "{lang1} page: {sent1}\n{lang2} page:",
            "This line is on an {lang1} web site:\n{sent1}\nHow would the {lang2} edition of the "
            "site put it?",
            "Please write this in {lang2}: {sent1}",
            'I do not speak {lang2}. Could you tell me how to say "{sent1}" in that language?',
        ),
        "{sent1}": (
            "Translate into {lang1}: {sent2}",
            "{sent2}\n\nThis is {lang2}. Say the same in {lang1}.",
            "My {lang2} is poor. What does this mean in {lang1}?\n\n{sent2}",
            "Original ({lang2}): {sent2}\nTranslation ({lang1}):",
        ),
    },
    "wmt14_enfr": {
        "{sent2}": (
            "Give the {lang2} translation of this sentence.\n\n{sent1}",
            "{sent1}\n\nTranslate the above from {lang1} to {lang2}.",
            "Source language: {lang1}\nTarget language: {lang2}\nSource: {sent1}\nTarget:",
            "How do you say this in {lang2}?\n{sent1}",
            'As an interpreter you hear the {lang1} sentence "{sent1}" What do you tell your '
            "{lang2}-speaking audience?",
            "Rewrite the text in {lang2}, keeping its meaning: {sent1}",
        ),
        "{sent1}": (
            "Put this {lang2} sentence into {lang1}: {sent2}",
            "{sent2}\n\nI can only read {lang1}. What does the sentence above say?",
            "The {lang1} original of a document is lost, but this is a sentence of its {lang2} "
            "translation:\n\n{sent2}\n\nTranslate it back.",
        ),
        "{lang2}": ("{sent2}\n\nWhich language is this written in?",),
    },
    "wmt16_translate": {
        "{sent2}": (
            "Please translate to {lang2}.\n\n{sent1}",
            "Sentence in {lang1}: {sent1}\nThe same sentence in {lang2}:",
            "Here is some {lang1} text. Write it in {lang2}.\n\n{sent1}",
            '"{sent1}"\n\nHow would a native speaker of {lang2} express this?',
            'A {lang2} newspaper wants to print the statement "{sent1}" Translate it for the '
            "readers of the paper.",
            "You are given a line of {lang1} news. Your task is to produce the {lang2} counterpart "
            "of it.\nLine: {sent1}",
        ),
        "{sent1}": (
            "{sent2}\n\nTranslate this from {lang2} to {lang1}.",
            'What is the {lang1} for "{sent2}"?',
            "A colleague sent me a message in {lang2}: {sent2}\nTell me in {lang1} what it says.",
        ),
        "{lang2}": ("Name the language of this sentence: {sent2}",),
    },
}
