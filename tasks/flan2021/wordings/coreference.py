"""Wordings of the coreference cluster.

In wsc the text shows the pronoun between asterisks and the noun phrase in square brackets.
"""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "definite_pronoun_resolution": {
        "{answer}": (
            '{sentence}\n\nTo whom or what does the writer refer by saying "{pronoun}"?'
            "\n\n{options_}",
            "Sentence: {sentence}\nPronoun: {pronoun}\n\n{options_}\n\nAntecedent:",
            'Find the noun phrase that the pronoun "{pronoun}" stands for.\n\n{sentence}'
            "\n\n{options_}",
            'In the sentence "{sentence}", what is meant by "{pronoun}"?\n\n{options_}',
            'I stumbled over the word "{pronoun}" while reading this: {sentence}\nCan you tell me '
            "whom or what the writer had in mind?\n\n{options_}",
            "Resolve the pronoun. If it comes more than once, take its first occurrence.\n\n"
            "Text: {sentence}\nTo resolve: {pronoun}\n\n{options_}",
            'Suppose you had to replace "{pronoun}" by a name or a noun. What would keep the '
            "meaning of the sentence?\n\n{sentence}\n\n{options_}",
            '{sentence}\n\nIn the sentence above, the first "{pronoun}" points back to'
            "\n\n{options_}",
            'Grammar alone does not settle what "{pronoun}" means here, but common sense does. '
            "Give its meaning.\n\n{sentence}\n\n{options_}",
            'Name the person or thing called "{pronoun}" in this sentence: {sentence}'
            "\n\n{options_}",
        ),
    },
    "winogrande": {
        "{answer}": (
            "How does the sentence continue?\n\n{context}\n\n{options_}",
            "{context}\n\nComplete this so that it makes sense.\n\n{options_}",
            "Beginning: {context}\n\n{options_}\n\nContinuation:",
            'A sentence was cut in two. Its first half is "{context}" and you are to find its '
            "second half.\n\n{options_}",
            "Think about which person or thing is meant, then finish the text in the only sensible "
            "way: {context}\n\n{options_}",
            "Finish the sentence that I started: {context}",
            "{context} ...\n\nWrite the rest of the sentence.",
            "Please supply the missing end of this text.\n\nText: {context}",
            'What would a person with common sense say after the words "{context}"?',
            "First part of a sentence: {context}\nSecond part:",
        ),
    },
    "wsc": {
        "{answer}": (
            "{context}\n\nDoes *{text2}* refer to [{text1}] in this text?\n\n{options_}",
            "Passage: {context}\nNoun phrase: {text1}\nPronoun: {text2}\n\nDo the two marked "
            "expressions mean the same?\n\n{options_}",
            "In the text, a pronoun stands between asterisks and a phrase in square brackets. Are "
            "both about the same person or thing?\n\n{context}\n\n{options_}",
            'I say that "{text2}", marked with asterisks, means "{text1}", marked with brackets. '
            "Am I right?\n\n{context}\n\n{options_}",
            "Decide whether the pronoun between asterisks stands for the words in brackets.\n\n"
            "Text: {context}\n\n{options_}\n\nAnswer:",
            '"{context}"\n\nCould one write [{text1}] in place of *{text2}* without changing what '
            "is said?\n\n{options_}",
            "Coreference check: is [{text1}] the antecedent of *{text2}*?\n\n{context}"
            "\n\n{options_}",
            "Read closely: {context}\n\nWhen the writer says *{text2}*, is that [{text1}]?"
            "\n\n{options_}",
            "Given the marks in this text, brackets for a name or noun and asterisks for a pronoun,"
            " tell me whether the marked words share one referent.\n\n{context}\n\n{options_}",
            "{context}\n\nThe pronoun *{text2}* and the phrase [{text1}]: same referent?"
            "\n\n{options_}",
        ),
    },
    "wsc273": {
        "{answer}": (
            "Complete the sentence.\n\n{context}\n\n{options_}",
            "{context}\n\nWhat are the next words?\n\n{options_}",
            "Text: {context}\n\n{options_}\n\nThe text goes on:",
            'Someone said "{context}" and was interrupted. What were they going to say?'
            "\n\n{options_}",
            "Give a logical end to this statement: {context}\n\n{options_}",
            "Use your knowledge of the world to extend the text correctly.\n\n{context}"
            "\n\n{options_}",
            "This is only the first part of a text:\n{context}\nAdd the part that makes it true to "
            "life.\n\n{options_}",
            'What is the most reasonable way to go on after the opening "{context}"?\n\n{options_}',
            "Opening: {context}\nWrite what belongs after it, naming the right person or thing."
            "\n\n{options_}",
            "Only one person or thing in the text fits what happens next. Carry the text on with "
            "that one.\n\n{context}\n\n{options_}",
        ),
    },
}
