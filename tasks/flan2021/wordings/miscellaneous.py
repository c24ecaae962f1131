"""Wordings of the clusters that have one kind of data: algebra, conversations, words, grammar."""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "math_dataset": {
        "{answer}": (
            "{question}\n\nGive only the number.",
            "Solve this algebra problem and reply with the value of the unknown, nothing else.\n\n"
            "{question}",
            "Problem: {question}\nSolution:",
            "Here is a linear equation from an exercise book.\n\n{question}\n\nWhat is the value "
            "of the variable?",
            "Work this out for me: {question} Write the result as a plain number.",
            'My homework says "{question}" What should I put down as the answer?',
            "Find the number that makes both sides of the equation equal.\n\n{question}",
            "You are an algebra calculator. You read a task and print one number.\n\nTask: "
            "{question}\nOutput:",
            "Q: {question}\nA (one number, no working):",
            "Equation in one unknown: {question} The unknown equals",
        ),
    },
    "quac": {
        "{answer}": (
            "Title: {title}\n\nBackground: {background}\n\nSection: {context}\n\nQuestion: "
            "{question}\n\nAnswer with words copied from the section, or with CANNOTANSWER if it "
            "does not say.",
            "Read what an encyclopedia says about {title}, then answer the question by quoting "
            "from it.\n\n{context}\n\n{question}",
            "{background}\n\n{context}\n\nA student wants to know: {question}\nAs the teacher, "
            "reply with a passage of the text. If nothing in it helps, reply CANNOTANSWER.",
            "{question}\n\nThe answer, if there is one, stands somewhere in this text about "
            "{title}. Copy it out word for word. If there is none, write CANNOTANSWER.\n\n"
            "{context}",
            "Passage: {context}\nQ: {question}\nA (an exact quotation from the passage):",
            'I am reading the article "{title}". It begins like this: {background}\n\nThe part '
            "that interests me goes: {context}\n\nPlease reply in the article's own words: "
            "{question}",
            'Which stretch of the text is the answer to "{question}"? Write CANNOTANSWER when '
            "there is none.\n\nText on {title}: {context}",
            "Topic: {title}\nIntroduction: {background}\nQuestion: {question}\n\nQuote the part of "
            "the excerpt that answers the question.\n\nExcerpt: {context}",
        ),
        "{title}": (
            'About the subject of a text, somebody asked "{question}" and got the reply '
            '"{answer}".\n\nText: {context}\n\nGive the title of the encyclopedia article that the '
            "text comes from.",
        ),
        "{question}": (
            "Background on {title}: {background}\n\nText: {context}\n\nReply: {answer}\n\nThe "
            "reply was given in a conversation about the text. What was the question?",
        ),
    },
    "coqa": {
        "{numbered_answers}": (
            "{text}\n\nAnswer these questions about the text. Number your answers to match.\n\n"
            "{numbered_questions}",
            "Story: {text}\n\nQuestions:\n{numbered_questions}\n\nNumbered answers:",
            "In a conversation, one person asks about a passage, one question after another. "
            "Supply the other person's short replies, numbered like the questions.\n\nPassage: "
            "{text}\n\n{numbered_questions}",
            "{numbered_questions}\n\nSomebody asked these questions about an article. Reply to "
            "each in a few words, with its number in front.\n\n{text}",
            "Reading test. Study the text, then write a brief answer to every question, one to a "
            "line, each with the question's number.\n\nText: {text}\n\nQuestions: "
            "{numbered_questions}",
            "My pupils were given this passage: {text}\n\nThese are their questions, each of which "
            "may refer back to the ones before it:\n{numbered_questions}\n\nPlease write the "
            "answer key with the same numbers.",
            "What are the answers to the questions, going by the document? Keep each one to a "
            "phrase and keep the numbering.\n\nDocument: {text}\n\n{numbered_questions}",
            "Go through the questions in order and answer each from the text, starting with 1.\n\n"
            "Questions: {numbered_questions}\n\nText: {text}",
            "Q and A session on a text\n\n{text}\n\nQ:\n{numbered_questions}\n\nA (same numbers, "
            "short answers):",
        ),
        "{numbered_questions}": (
            "{text}\n\nA reader asked a series of questions about this text and got these answers:"
            "\n{numbered_answers}\n\nWrite the questions, numbered to match the answers.",
        ),
    },
    "wic": {
        "{answer}": (
            '{sentence1}\n{sentence2}\n\nDoes "{word}" have the same meaning or different meanings '
            "in these two sentences?\n\n{options_}",
            "Word: {word}\nSentence 1: {sentence1}\nSentence 2: {sentence2}\n\nCompare how the "
            'word is used. Answer "the same meaning" or "different meanings".\n\n{options_}',
            'A dictionary has an entry for "{word}". Do these two examples in it illustrate the '
            "same meaning of the word, or different meanings?\n\n1. {sentence1}\n2. {sentence2}"
            "\n\n{options_}",
            'Complete the statement: in "{sentence1}" and in "{sentence2}" the word "{word}" has'
            "\n\n{options_}",
            'I am learning English and met the word "{word}" twice today. First: {sentence1} Then: '
            "{sentence2} Was it with the same meaning both times, or with different meanings?"
            "\n\n{options_}",
            "Word sense check\nTarget: {word}\nA: {sentence1}\nB: {sentence2}\nVerdict (the same "
            "meaning or different meanings):\n\n{options_}",
            'Suppose you had to translate "{word}" in both sentences. Would it be with the same '
            "meaning in mind, or with different meanings?\n\n{sentence2}\n\n{sentence1}"
            "\n\n{options_}",
            "Text 1: {sentence1}\nText 2: {sentence2}\n\nIf one dictionary definition of "
            '"{word}" fits both texts, the word has the same meaning in them. If not, it has '
            "different meanings. Which is it?\n\n{options_}",
            'Look at the context of "{word}" in each sentence to find out what it means there. '
            "Then say if you found different meanings or the same meaning.\n\n{sentence1} / "
            "{sentence2}\n\n{options_}\n\nJudgement:",
            '"{sentence1}" "{sentence2}" Each of these quotations contains a form of the word '
            '"{word}". Reply "the same meaning" if they agree on its sense and "different '
            'meanings" if they do not.\n\n{options_}',
        ),
    },
    "cola": {
        "{answer}": (
            "{sentence}\n\nIs this a grammatically acceptable English sentence, or an unacceptable "
            "one?\n\n{options_}",
            "Grammar check\nInput: {sentence}\nStatus (acceptable or unacceptable):\n\n{options_}",
            'Would a native speaker of English find "{sentence}" acceptable or unacceptable?'
            "\n\n{options_}",
            "Rate the sentence as unacceptable if it breaks a rule of English grammar, and as "
            "acceptable if it breaks none.\n\nSentence: {sentence}\n\n{options_}",
            "Acceptable or unacceptable? {sentence}\n\n{options_}",
            "I am editing a book on syntax and have to mark each example for grammaticality. Which "
            "mark does this one get, acceptable or unacceptable?\n\nExample: {sentence}"
            "\n\n{options_}",
            "Look at the form of the sentence only, never mind whether what it says is likely. "
            "Label it acceptable English or unacceptable English, in one word.\n\n{sentence}"
            "\n\n{options_}\n\nLabel:",
            'Finish with one word. As far as its grammar goes, the sentence "{sentence}" is'
            "\n\n{options_}",
        ),
        "{sentence}": (
            "Make up one English sentence that a linguist would call grammatically {answer}.",
            "A collection of sentences for the study of grammar sorts them by acceptability. Give "
            'me an entry that carries the label "{answer}".',
        ),
    },
    "trec": {
        "{answer}": (
            "{text}\n\nWhat kind of answer does this question ask for?\n\n{options_}",
            "Classify the question by the type of thing that its answer is.\n\nQuestion: {text}"
            "\n\n{options_}",
            "Question: {text}\nExpected answer type:\n\n{options_}",
            "A question answering system must know what it is searching for. In the case of "
            '"{text}", is that a description, an entity, an abbreviation, a human, something '
            "numeric or a location?\n\n{options_}",
            'If somebody asked you "{text}", into which broad category would your answer fall?'
            "\n\n{options_}",
            "Sort this trivia question by what it wants to know, not by its topic, and name its "
            "category: {text}\n\n{options_}",
            "You send questions on to experts. Requests for explanations and definitions go to "
            "description, for things to entity, for short forms or what they stand for to "
            "abbreviation, for people to human, for numbers and dates to numeric, for places to "
            "location. Where does this one go?\n\n{text}\n\n{options_}",
            "Say in one word what the asker is looking for. You need not answer the question "
            "itself.\n\n{text}\n\n{options_}",
            'Imagine a correct reply to "{text}" Which class describes that reply?\n\n{options_}'
            "\n\nClass:",
        ),
        "{text}": (
            'Write a short general knowledge question. The type of its answer must be "{answer}".',
        ),
    },
}
