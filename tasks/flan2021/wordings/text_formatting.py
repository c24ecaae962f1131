"""Wordings of the text formatting cluster: true_case, fix_punct, word_segment."""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "true_case": {
        "{answer}": (
            "Put the capital letters back where they belong in this text:\n\n{lower}",
            "{lower}\n\nThe text above was typed without capitals. Write it again with them.",
            "lower case: {lower}\ntrue case:",
            'Could you fix the casing of "{lower}" for me? Change nothing but the letter case.',
            "My shift key is broken, so this is all I could type: {lower}\nHow should it look with "
            "upper-case letters in the right places?",
            "Restore the case of names, acronyms and beginnings of sentences.\n\n"
            "Input: {lower}\nOutput:",
            "Here is a line from a web page after all of its letters were made small.\n\n{lower}"
            "\n\nWhat was the original line?",
            "Which words of this text need capitals? Reply with the whole text, corrected.\n\n"
            "Text: {lower}",
            "{lower}\n\nWith proper capitals:",
        ),
        "{lower}": ("Write this text in small letters only.\n\n{answer}",),
    },
    "fix_punct": {
        "{answer}": (
            "Add the missing punctuation to this text:\n\n{no_punct}",
            "{no_punct}\n\nPunctuate the text above. Leave the words as they are.",
            "Without punctuation: {no_punct}\nWith punctuation:",
            "Someone forgot every comma, full stop and apostrophe in what they wrote. Please put "
            "them in.\n\nThey wrote: {no_punct}",
            'How would you punctuate "{no_punct}"?',
            "I need this line proofread for punctuation and nothing else: {no_punct}\n\n"
            "Give me the corrected line.",
            "All punctuation marks have been stripped from a text found online. What is left of it "
            "is\n\n{no_punct}\n\nReconstruct the text.",
            "Unpunctuated text: {no_punct}\n\nWhere do the punctuation marks go? Write the text "
            "with every mark in its place.",
            "Please return a copy of this line with commas, periods, quotation marks and so on "
            "where they should be.\n{no_punct}",
            "Readers will stumble here, for the punctuation is gone.\n\n{no_punct}\n\n"
            "The same with punctuation:",
        ),
    },
    "word_segment": {
        "{answer}": (
            "Insert the missing spaces between the words of this text:\n\n{no_space}",
            "{no_space}\n\nThe words above have run together. Write them out with spaces.",
            "Unspaced: {no_space}\nSpaced:",
            'My space bar did not work when I wrote "{no_space}". What did I mean to write?',
            "Segment the string into words. Keep every character and the order of the characters."
            "\n\nString: {no_space}\nWords:",
            "Can you read this? {no_space}\n\nRewrite it so that blanks separate the words.",
            "A scanner lost all the blanks of a printed line and returned this:\n{no_space}\n"
            "Give the line as it was printed.",
            "Text without blanks: {no_space}\n\nWhere does one word end and the next begin? Answer "
            "with the properly spaced text.",
        ),
        "{no_space}": (
            "Delete every space from this text: {answer}",
            "{answer}\n\nRun the words above together, with no blanks between them.",
        ),
    },
}
