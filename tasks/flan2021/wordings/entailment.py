"""Wordings of the entailment cluster: what a first text says about the truth of a second."""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "anli": {
        "{answer}": (
            '{context}\n\nGoing by this passage alone, is the statement "{hypothesis}" true?'
            "\n\n{options_}",
            "Read the text and tell me whether a claim about it is true.\n\nText: {context}\n\n"
            "Claim: {hypothesis}\n\n{options_}",
            "Claim: {hypothesis}\n\nSource: {context}\n\nDoes the source bear the claim out? Reply "
            "that it's impossible to say if the source neither supports nor refutes it."
            "\n\n{options_}",
            "Suppose that everything in this paragraph is correct:\n\n{context}\n\nIs it then also "
            'correct that "{hypothesis}"?\n\n{options_}',
            "Fact check. A reader says: {hypothesis}\nThe only evidence you may use is this: "
            "{context}\nIs the reader right?\n\n{options_}",
            'Can I state "{hypothesis}" on the strength of what is written here? Bear in mind that '
            "the text may leave the matter open.\n\n{context}\n\n{options_}",
            "Hypothesis: {hypothesis}\nContext: {context}\nJudge the hypothesis against the "
            "context. Is it true?\n\n{options_}",
            "You get some background and then a question about it.\n\nBackground: {context}\n\n"
            "Question: is this so, as far as the background tells? {hypothesis}\n\n{options_}\n\n"
            "Answer:",
            "Here is an extract from an article or a story.\n\n{context}\n\nA student drew this "
            "conclusion from it: {hypothesis}\n\nAccording to the extract, is what the student "
            "says the case?\n\n{options_}",
        ),
        "Context: {context}\nHypothesis: {hypothesis}": (
            "Invent a short factual passage and a claim about it. Whoever has read the passage and "
            'is asked if the claim is true must have to reply "{answer}". Put the passage after '
            '"Context:" and the claim after "Hypothesis:".',
        ),
    },
    "cb": {
        "{answer}": (
            "{premise}\n\nBased on this excerpt, is it true that {hypothesis}?\n\n{options_}",
            "Premise: {premise}\nHypothesis: {hypothesis}\n\nGiven the premise, does the "
            "hypothesis hold, or can that not be told?\n\n{options_}",
            'Someone asks you: "Is it the case that {hypothesis}?" All you know is what the '
            "dialogue or story here tells you.\n\n{premise}\n\nWhat is your reply?\n\n{options_}",
            'Judge from what is said whether "{hypothesis}" is a fact.\n\n{premise}\n\n{options_}',
            "Statement to verify: {hypothesis}\nEvidence: {premise}\n\nAnswer Yes if the evidence "
            "confirms the statement, No if it rules the statement out, and otherwise It's "
            "impossible to say.\n\n{options_}",
            "Text: {premise}\n\nQuestion: according to the text, is it so that {hypothesis}?"
            "\n\n{options_}\n\nAnswer:",
            "After reading a page of a book, a friend concluded that {hypothesis}. Was the friend "
            "right?\n\nPage: {premise}\n\n{options_}",
            "Take these words at face value:\n\n{premise}\n\nIs the claim that {hypothesis} "
            "correct?\n\n{options_}",
            "I want to know if {hypothesis}. What would you tell me if you had to rely on these "
            "lines alone?\n\n{premise}\n\n{options_}",
        ),
        "Premise: {premise}\nHypothesis: {hypothesis}": (
            "Write a few lines of prose or dialogue, headed Premise, and then a short clause about "
            "them, headed Hypothesis. A reader of the lines who is asked if the clause is true "
            "should reply: {answer}",
        ),
    },
    "rte": {
        "{answer}": (
            '{premise}\n\nCan we infer from this text that "{hypothesis}" is a true sentence?'
            "\n\n{options_}",
            "Text: {premise}\nHypothesis: {hypothesis}\nDoes the text entail the hypothesis?"
            "\n\n{options_}",
            "Somebody who has read nothing but the paragraph here says: {hypothesis}\n\n"
            "Paragraph: {premise}\n\nDoes the paragraph give them enough reason to say so?"
            "\n\n{options_}",
            "Answer yes if the second passage must be true whenever the first one is, and no "
            "otherwise.\n\nFirst: {premise}\n\nSecond: {hypothesis}\n\n{options_}",
            "I would like to cite a news story in support of a claim. The claim is: {hypothesis}\n"
            "The story reads: {premise}\nDoes the story back the claim?\n\n{options_}",
            'Is the conclusion "{hypothesis}" justified by these words?\n\n{premise}\n\n{options_}',
            "Assume that this report is accurate: {premise}\n\nIs it then certain that the "
            "statement is accurate as well?\n\nStatement: {hypothesis}\n\n{options_}",
            "Check the summary: is all of it supported by the article?\n\nSummary: {hypothesis}\n\n"
            "Article: {premise}\n\n{options_}\n\nSupported:",
            'Would a person who believes the text also have to believe "{hypothesis}"?\n\n'
            "The text: {premise}\n\n{options_}",
        ),
        "Premise: {premise}\nHypothesis: {hypothesis}": (
            "Compose an item for a test of textual entailment: a premise in the style of a news "
            "report, then a hypothesis of one sentence. The answer to the question whether the "
            'premise entails the hypothesis has to be "{answer}". Mark the two parts with '
            '"Premise:" and "Hypothesis:".',
        ),
    },
    "mnli": {
        "{answer}": (
            "Premise: {premise}\n\nHypothesis: {hypothesis}\n\nIf the premise is true, is the "
            "hypothesis true as well?\n\n{options_}",
            '{premise}\n\nHaving read this, would you call the statement "{hypothesis}" correct?'
            "\n\n{options_}",
            "Two sentences are about the same situation. The first is known to be true; is the "
            "second?\n\nFirst: {premise}\nSecond: {hypothesis}\n\n{options_}",
            "How does B relate to A? Answer yes if A makes B true, no if A makes B false, and it "
            "is not possible to tell if A does neither.\n\nA: {premise}\nB: {hypothesis}"
            "\n\n{options_}",
            "A colleague said to me: {premise}\n\nI took away from it: {hypothesis}\n\nIs what I "
            "took away true?\n\n{options_}",
            "Quiz. Use nothing but the text to say whether the statement is right; the text may "
            "not be enough to settle it.\n\nStatement: {hypothesis}\nText: {premise}\n\n{options_}",
            "We know this for sure: {premise}\nAnd what about this, is it so too? {hypothesis}"
            "\n\n{options_}\n\nReply:",
            "Natural language inference. Judge the hypothesis by the premise, where entailment "
            "counts as yes and contradiction as no.\nHypothesis: {hypothesis}\nPremise: {premise}"
            "\n\n{options_}",
            '"{hypothesis}" Could you tell me if that is the case? Here is all that I have to go '
            "on.\n\n{premise}\n\n{options_}",
            'In the light of "{premise}", what do you make of the claim "{hypothesis}"? Is it true?'
            "\n\n{options_}",
        ),
    },
    "qnli": {
        "{answer}": (
            "Sentence: {sentence}\nQuestion: {question}\n\nDoes the sentence contain the answer to "
            "the question?\n\n{options_}",
            "{question}\n\nWould you be able to answer that after reading this line and nothing "
            "else?\n\n{sentence}\n\n{options_}",
            'I was searching an encyclopedia for an answer to "{question}" and came upon this: '
            "{sentence}\n\nHave I found what I need?\n\n{options_}",
            "Suppose that your notes say: {sentence}\n\nAre the notes enough for this exam "
            "question? {question}\n\n{options_}",
            "Reply yes if the question is answered in the line of text, otherwise no.\n\nText: "
            "{sentence}\n\nQuestion: {question}\n\n{options_}",
            "Q: {question}\nCandidate passage: {sentence}\nIs the information that is asked for "
            "present in the passage?\n\n{options_}",
            'Can "{question}" be answered from the words "{sentence}"?\n\n{options_}',
            "A search engine shows a snippet for a query. Judge whether the snippet resolves the "
            "query.\n\nSnippet: {sentence}\n\nQuery: {question}\n\n{options_}",
            "First the question, then a statement by an expert.\n\n{question}\n\n{sentence}\n\n"
            "Does the expert's statement settle the question?\n\n{options_}\n\nVerdict:",
        ),
        "{question}": (
            "{sentence}\n\nThat is a sentence from an encyclopedia. Write a question on the same "
            'subject for which the reply to "Does the sentence answer the question?" is '
            '"{answer}".',
        ),
    },
    "wnli": {
        "{answer}": (
            "{sentence1}\n\nBearing in mind what each pronoun refers to, is this true as well? "
            "{sentence2}\n\n{options_}",
            "Sentence 1: {sentence1}\nSentence 2: {sentence2}\nDoes sentence 1 imply sentence 2?"
            "\n\n{options_}",
            'Somebody read "{sentence1}" and explained part of it as "{sentence2}" Is the '
            "explanation right?\n\n{options_}",
            "Work out whom or what the pronouns in the text stand for, and say if the reading "
            "agrees with it.\n\nText: {sentence1}\nReading: {sentence2}\n\n{options_}",
            'Is "{sentence2}" a valid conclusion from "{sentence1}"?\n\n{options_}',
            "If I tell you: {sentence1}\nHave I also told you this: {sentence2}\n\n{options_}",
            "Claim: {sentence2}\n\nEvidence: {sentence1}\n\nIs the claim established by the "
            "evidence?\n\n{options_}",
            "Here is a very short story. {sentence1}\n\nQuestion about the story: is it the case "
            'that "{sentence2}"?\n\n{options_}\n\nAnswer:',
            "Part of the original has been rewritten, with a name or a noun where a pronoun was. "
            "Does the rewritten part keep the meaning?\n\nOriginal: {sentence1}\nRewritten part: "
            "{sentence2}\n\n{options_}",
            "Grant me this much: {sentence1}\n\nMust you then grant me this too? {sentence2}"
            "\n\n{options_}",
        ),
    },
    "snli": {
        "{answer}": (
            "A photo has the caption: {premise}\n\nIs this true of the photo? {hypothesis}"
            "\n\n{options_}",
            "Premise: {premise}\nHypothesis: {hypothesis}\n\nTaking the premise as given, is the "
            "hypothesis true?\n\n{options_}",
            'Picture this scene. {premise}\n\nNow somebody adds: "{hypothesis}" Are they right?'
            "\n\n{options_}",
            "Answer yes if the second description must be true of any scene that fits the first, "
            "no if it cannot be, and it is not possible to tell if it could go either way.\n\n"
            "First description: {premise}\nSecond description: {hypothesis}\n\n{options_}",
            '"{hypothesis}" Is that what happens in a picture described as "{premise}"?'
            "\n\n{options_}",
            "You cannot see the image, but you have a description of it. Say whether the "
            "statement about the image is correct.\n\nStatement: {hypothesis}\nDescription: "
            "{premise}\n\n{options_}",
            "All that you have been told is this: {premise}\n\nWhat do you reply to a person who "
            'asks you whether it is true that "{hypothesis}"?\n\n{options_}',
            "Witness report: {premise}\nDetective's theory: {hypothesis}\nGoing by the report "
            "alone, is the theory correct?\n\n{options_}",
            "{premise}\n\nDoes the sentence above make this one true: {hypothesis}\nKeep in mind "
            "that it may not be possible to tell.\n\n{options_}\n\nYour verdict:",
        ),
        "{hypothesis}": (
            "{premise}\n\nWrite a second sentence about this scene. If someone asked whether it "
            'is true, given the first sentence, the answer would be "{answer}".',
        ),
    },
}
