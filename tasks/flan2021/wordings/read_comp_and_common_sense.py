"""Wordings of the data sets that ask for a reading with common sense."""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    # The query is the part of a sentence before the gap, and empty where the gap comes first; the
    # dots mark the gap in either case.
    "record": {
        "{answer}": (
            "{passage}\n\nHow does this sentence about the story go on? {query} ...\n\n{options_}",
            'News report: {passage}\n\nA later sentence starts "{query} ..." and goes straight on '
            "with a name from the report. Write the rest of it.\n\n{options_}",
            "Complete the statement so that it agrees with the article. Only the missing part is "
            "wanted.\n\nArticle: {passage}\n\nStatement: {query} ...\n\n{options_}",
            "Sentence to complete: {query} ...\n\nThe text that it refers to: {passage}\n\nWhat "
            "comes where the dots are?\n\n{options_}",
            "Someone has torn the end off the last line of this press cutting. Restore the end."
            "\n\n{passage}\n{query} ...\n\n{options_}",
            "Can you tell from the article which person, place or thing the sentence turns to "
            "next? Continue it from the three dots.\n\n{passage}\n\n{query} ...\n\n{options_}",
            "Passage: {passage}\nBeginning: {query} ...\nContinuation:\n\n{options_}",
            'An editor wants one more sentence in this story. It runs "{query} ..." so far. What '
            "should the remainder be, if it is to be true to the facts?\n\nStory: {passage}"
            "\n\n{options_}",
            "Read closely and use common sense: the sentence at the end stops short of a name "
            "found in the text. Give that name and all that comes after it.\n\n{passage}"
            "\n\n{query} ...\n\n{options_}",
            '"{query} ..." Fill in what is left out, going by the report.\n\nReport: {passage}'
            "\n\n{options_}",
        ),
    },
    "cosmos_qa": {
        "{answer}": (
            "Read between the lines of this story.\n\n{context}\n\n{question}\n\n{options_}",
            "Context: {context}\nQuestion: {question}\nMost plausible answer:\n\n{options_}",
            'A blogger writes: "{context}" {question} Use common sense where the text leaves '
            "things unsaid.\n\n{options_}",
            "{question}\n\nThe answer is not stated outright, but the passage makes one reply far "
            "likelier than any other.\n\nPassage: {context}\n\n{options_}",
            "Think about the causes, motives and effects behind these events and then answer the "
            "question.\n\nEvents: {context}\n\nQuestion: {question}\n\n{options_}",
            "Suppose a friend told you this:\n\n{context}\n\nHow would you answer if somebody "
            'else asked, "{question}"?\n\n{options_}',
            "What can be inferred here? {context}\n\nI would like to know in particular: "
            "{question}\n\n{options_}",
            "Commonsense reading exercise\n\nText: {context}\n\nTask: reply to the question "
            '"{question}" with the statement that fits the text best.\n\n{options_}',
        ),
        "{question}": (
            "{context}\n\nWrite a question on this passage that calls for some inference and has "
            '"{answer}" as its answer.',
            "Story: {context}\nAnswer: {answer}\nWhat was the question?",
        ),
    },
}
