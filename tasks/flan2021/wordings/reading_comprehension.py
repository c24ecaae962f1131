"""Wordings of the data sets that ask questions about a text."""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "squad_v1": {
        "{answer}": (
            "{context}\n\nAnswer with words taken from the passage: {question}",
            "Read this excerpt from an article about {title} and answer the question in as few "
            "words as possible.\n\n{context}\n\nQuestion: {question}",
            "Q: {question}\n\nFind the answer in this paragraph and copy it exactly:\n\n{context}",
            "Article: {title}\n\n{context}\n\nQuestion: {question}\nAnswer:",
            "My textbook has this to say on {title}:\n\n{context}\n\nGoing by that, what would "
            'you reply to the question "{question}"? A phrase from the text will do.',
            "{question} Quote the shortest part of the text that tells us.\n\nText: {context}",
            "Reading test. Reply to the question with a span of the passage, not a full sentence."
            "\n\nPassage: {context}\n\n{question}",
            "Look up the answer for me, please. I want to know: {question} It should be somewhere "
            "in here:\n\n{context}",
        ),
        "{question}": (
            '{context}\n\nThe answer is "{answer}". Write a question about the passage that has '
            "this answer.",
        ),
        "{title}": (
            "Which Wikipedia article could this paragraph come from? Give only its title."
            "\n\n{context}",
        ),
    },
    "squad_v2": {
        "{answer}": (
            "{context}\n\nQuestion: {question}\nAnswer with a phrase from the passage, or with "
            '"unanswerable" if the passage does not tell.',
            "Does this paragraph on {title} answer the question? If so, quote the answer; if not, "
            'say "unanswerable".\n\nQuestion: {question}\n\nParagraph: {context}',
            "Some questions in this quiz cannot be answered from the text. For those write "
            '"unanswerable"; for the others copy the answer out of the text.\n\nText: {context}'
            "\n\n{question}",
            "Title: {title}\nPassage: {context}\nQuestion: {question}\n"
            'Answer ("unanswerable" if not in the passage):',
            "{question}\n\nUse nothing but the source to answer, in a few of its own words. "
            'Should it be silent on the matter, reply "unanswerable".\n\nSource: {context}',
            "I am checking facts about {title}. My only reference reads:\n\n{context}\n\nWhat "
            'does it say on the question "{question}"? Tell me "unanswerable" when it says '
            "nothing.",
            "Extract the answer span.\n\nContext: {context}\n\nQuestion: {question}\n\nWrite "
            '"unanswerable" where no span answers the question.',
            "Be careful: the question might be a trick one that the passage leaves open. Reply "
            '"unanswerable" in that case and with the exact answer otherwise.\n\n{context}'
            "\n\n{question}",
            "Please read the text before you reply.\n\n{context}\n\nHere is what I would like to "
            'know: {question} Reply briefly, and with "unanswerable" if the text gives no answer.',
            'Given only this extract from the article "{title}", respond to the question with the '
            "shortest correct quotation. The reply to a question that the extract does not settle "
            'is "unanswerable".\n\nExtract: {context}\n\nQuestion: {question}',
        ),
    },
    "drop": {
        "{answer}": (
            "{context}\n\n{question} Work it out from the passage and give just the answer.",
            "Passage: {context}\nQuestion: {question}\n"
            "Answer (a number, a date or a few words of the passage):",
            "You may have to count, compare or calculate to answer this question about the text."
            "\n\nText: {context}\n\nQuestion: {question}\n\nReply with the result only.",
            'How would you answer "{question}" after reading the report?\n\n{context}\n\nKeep it '
            "to a figure, a name or a short phrase.",
            "Question first: {question}\n\nNow the passage that it is about:\n\n{context}"
            "\n\nState the answer without any explanation.",
            "Solve this reading puzzle. The paragraph holds all the facts you need, though not "
            "always the answer itself.\n\n{context}\n\n{question}",
            "Use the details in the article to settle one question: {question}"
            "\n\nArticle:\n{context}\n\nShort answer:",
        ),
        "{context}": (
            "Write a paragraph rich in names, dates or figures from which a reader can work out "
            'that the answer to "{question}" is "{answer}".',
        ),
        "{question}": (
            "{context}\n\nMake up a question on this passage whose answer is {answer}. It may "
            "need counting, sorting or arithmetic.",
            "A teacher wants to test close reading. Expected answer: {answer}. What should the "
            "question be, given the text?\n\nText: {context}",
        ),
    },
    "multirc": {
        "{answer}": (
            "{paragraph}\n\nQuestion: {question}\nProposed answer: {response}\n\nIs the proposed "
            "answer right?\n\n{options_}",
            "Judge one candidate answer against the text. A question may have several right "
            "answers; all that counts here is whether this is one of them.\n\nText: {paragraph}"
            "\n\nQuestion: {question}\nCandidate: {response}\n\n{options_}",
            'A pupil was asked "{question}" and wrote "{response}". Going by the passage, should '
            "the teacher accept that?\n\n{paragraph}\n\n{options_}",
            'Read this first.\n\n{paragraph}\n\nWould "{response}" be a correct reply to the '
            'question "{question}"?\n\n{options_}',
            "Question: {question}\nAnswer to check: {response}\nSource: {paragraph}\n\nDoes the "
            "source bear the answer out?\n\n{options_}",
            'Say yes or no: does the passage support answering "{question}" with "{response}"?'
            "\n\nPassage: {paragraph}\n\n{options_}",
            "I am grading a comprehension test and need a second opinion on one answer."
            "\n\nPassage: {paragraph}\n\nThe question was: {question}\nThe answer given was: "
            "{response}\n\nIs it correct?\n\n{options_}",
            "True to the text or not? Reply yes if the response answers the question correctly "
            "and no if it does not.\n\n{paragraph}\n\nQuestion: {question}\nResponse: {response}"
            "\n\n{options_}",
        ),
        "{question}": (
            '{paragraph}\n\nWrite a question about this text to go with the reply "{response}". '
            'Whoever asks whether the reply is correct must be told "{answer}".',
            "Passage: {paragraph}\nAnswer offered: {response}\nWas it correct? {answer}\n"
            "Question that had been asked:",
        ),
    },
    "openbookqa": {
        "{answer}": (
            "Science fact: {fact}\n\nWith this in mind, answer the question or finish the "
            "sentence: {question}\n\n{options_}",
            "{question}\n\nA hint: {fact}. Give the answer or ending that makes sense."
            "\n\n{options_}",
            "We learnt today that {fact}. Apply it: {question}\n\n{options_}",
            "Fact: {fact}\nQuestion: {question}\n\n{options_}\n\nAnswer:",
            'Someone who knows that {fact} is given this quiz item: "{question}" How should they '
            "respond?\n\n{options_}",
            "Reason from the premise to the right answer. Some items are questions, some are "
            "statements that break off and need their ending.\n\nPremise: {fact}\n"
            "Item: {question}\n\n{options_}",
            'Which answer or ending fits "{question}", if you combine everyday knowledge with the '
            "principle that {fact}?\n\n{options_}",
        ),
        "{fact}": (
            '"{question}" is best answered or completed by "{answer}". What general scientific '
            "fact lies behind that?",
            "Item: {question}\nKey: {answer}\n\nState, in one short sentence, the piece of "
            "science that a pupil needs in order to get this item right.",
            'Teach me an elementary fact of science that has to do with "{answer}".',
        ),
    },
    # BoolQ's questions are search queries: lower case, without a question mark.
    "bool_q": {
        "{answer}": (
            "{text}\n\nGoing by this passage, {question}?\n\n{options_}",
            "Title: {title}\nPassage: {text}\nQuestion: {question}?\n\n{options_}",
            "Yes or no, {question}? The article on {title} should tell you.\n\n{text}"
            "\n\n{options_}",
            'A user typed "{question}" into a search engine, which found this text about {title}:'
            "\n\n{text}\n\nShould the user be told yes or no?\n\n{options_}",
            "Read the extract and answer the question in one word, affirming or denying it."
            "\n\nQuestion: {question}?\n\nExtract: {text}\n\n{options_}",
            "I was wondering: {question}? All I have to go on is this.\n\n{text}\n\n{options_}",
            'Would the encyclopedia entry "{title}" have you say yes or no to "{question}?"'
            "\n\n{text}\n\n{options_}",
            "Background on {title}: {text}\n\nWith that background, is it right to say yes when "
            'asked "{question}?"\n\n{options_}',
            "Check a question against its source. If the passage shows that the answer is "
            "affirmative, say yes; otherwise, say no.\n\nPassage: {text}\n\nQuestion: {question}?"
            "\n\n{options_}",
            "Question: {question}?\nEvidence: {text}\nVerdict, as a plain yes or no:\n\n{options_}",
        ),
    },
}
