"""Wordings of the paraphrase data sets."""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "glue_mrpc": {
        "{answer}": (
            "Sentence 1: {sentence1}\nSentence 2: {sentence2}\n\n"
            "Would you say that both of them make the same claim?\n\n{options_}",
            "A news story says:\n{sentence1}\n\nAnother one says:\n{sentence2}\n\n"
            "Is the second sentence a paraphrase of the first?\n\n{options_}",
            "Decide whether two sentences are semantically equivalent, and answer yes or no.\n\n"
            "(1) {sentence1}\n(2) {sentence2}\n\n{options_}",
            "Two reporters cover an event.\nReporter A: {sentence1}\nReporter B: {sentence2}\n"
            "Are they telling their readers the same?\n\n{options_}",
            'Can I replace "{sentence1}" with "{sentence2}" in an article without changing what '
            "readers learn?\n\n{options_}",
            "Does this sentence\n\n{sentence1}\n\nexpress the same meaning as this one?\n\n"
            "{sentence2}\n\n{options_}",
            "{sentence1}\n{sentence2}\n\nParaphrases of each other, yes or no?\n\n{options_}",
            "Original: {sentence1}\nRewritten: {sentence2}\n\n{options_}\n\nMeaning preserved?",
            "I am removing duplicate statements from a collection of news sentences. Would you "
            "treat this pair as duplicates?\n\nFirst: {sentence1}\nSecond: "
            "{sentence2}\n\n{options_}",
            'Reply "yes" if a pair of sentences conveys the same information and "no" if it does '
            "not.\n\nOne half of the pair: {sentence1}\nThe other half: {sentence2}\n\n{options_}",
        ),
    },
    "glue_qqp": {
        "{answer}": (
            "Question A: {question1}\nQuestion B: {question2}\n\n"
            "Could A be swapped for B without changing what is asked?\n\n{options_}",
            "A forum wants to merge duplicate questions. Should it merge these two?\n\n"
            "{question1}\n{question2}\n\n{options_}",
            "Would one and the same answer satisfy both people?\n\nThe first asks: {question1}\n"
            "The second asks: {question2}\n\n{options_}",
            '"{question1}"\n"{question2}"\n\nIs that one question in different words, yes or no?'
            "\n\n{options_}",
            "Tell me whether the second question repeats the first.\n\n"
            "First question: {question1}\nSecond question: {question2}\n\n{options_}",
            "I am about to post this question: {question1}\nSomebody has already posted: "
            "{question2}\nIs mine a duplicate of theirs?\n\n{options_}",
            "Compare the intent of two questions and answer yes if it is the same, no if it is "
            "not.\n\n1) {question1}\n2) {question2}\n\n{options_}",
            'Does a person who asks "{question1}" want to know exactly the same as one who asks '
            '"{question2}"?\n\n{options_}',
            "New question: {question1}\nExisting question: {question2}\n\n{options_}\n\nDuplicate?",
            "{question1}\n\nA friend claims that this question means the same as the next one.\n\n"
            "{question2}\n\nIs my friend right?\n\n{options_}",
        ),
    },
    "paws_wiki": {
        "{answer}": (
            "Sentence A: {sentence1}\nSentence B: {sentence2}\n\n"
            "Is sentence B a faithful paraphrase of sentence A?\n\n{options_}",
            "These sentences share most of their words. Do they also share their meaning?\n\n"
            "{sentence1}\n\n{sentence2}\n\n{options_}",
            "{sentence1}\n\nAn editor rewrote the sentence above like this:\n\n{sentence2}\n\n"
            "Did its meaning stay the same?\n\n{options_}",
            "Answer yes or no. Are these two statements true in exactly the same situations?\n\n"
            "Statement 1: {sentence1}\nStatement 2: {sentence2}\n\n{options_}",
            "Read closely, because word order matters.\n\nText 1: {sentence1}\nText 2: {sentence2}"
            "\n\nDo the two texts say the same thing?\n\n{options_}",
            'Does "{sentence1}" mean the same as "{sentence2}"?\n\n{options_}',
            "I suspect that an encyclopedia article was copied and rephrased. Does the suspicious "
            "sentence restate the original with the same meaning?\n\nOriginal: {sentence1}\n"
            "Suspicious: {sentence2}\n\n{options_}",
            "First version: {sentence1}\nSecond version: {sentence2}\n\n{options_}\n\n"
            "Same meaning?",
            "Some words may have been swapped from one line to the other. Reply yes if both lines "
            "still state the same facts and no if the facts differ.\n\n{sentence1}\n{sentence2}\n\n"
            "{options_}",
            "Are the two sentences paraphrases of one another? Say yes or no.\n\n"
            "1. {sentence1}\n2. {sentence2}",
        ),
    },
    "stsb": {
        "{answer_str}": (
            "Sentence 1: {sentence1}\nSentence 2: {sentence2}\n\nPut their similarity on a scale "
            "that runs from 0 (unrelated) to 5 (same meaning).\n\n{options_}",
            "Rate with a whole number how close in meaning two texts are, where 0 means nothing in "
            "common and 5 means equivalent.\n\nText A: {sentence1}\nText B: {sentence2}\n\n"
            "{options_}",
            "{sentence1}\n{sentence2}\n\nGive this pair a grade for semantic similarity, from 0 up "
            "to 5.\n\n{options_}",
            'How much does "{sentence1}" have in common with "{sentence2}" in meaning? Answer '
            "with a single digit, 0 for not at all and 5 for identical.\n\n{options_}",
            "As an annotator you score pairs of sentences for similarity, with 0 as the lowest "
            "score and 5 as the highest. What score do you enter for this pair?\n\nLeft: "
            "{sentence1}\nRight: {sentence2}\n\n{options_}",
            "Do these say the same? 5 stands for a perfect match in meaning, 0 for no relation, "
            "and 1 to 4 for the steps between.\n\n(a) {sentence1}\n(b) {sentence2}\n\n{options_}",
            "First: {sentence1}\nSecond: {sentence2}\n\n{options_}\n\nSimilarity from 0 to 5:",
            "Someone tried to paraphrase a sentence.\n\nSentence: {sentence1}\n"
            "Attempt: {sentence2}\n\nOut of 5 points, how many does the attempt deserve for "
            "keeping the meaning?\n\n{options_}",
        ),
        "{sentence2}": (
            "Write a sentence that would score {answer_str} out of 5 for similarity in meaning to "
            "this one, where 0 is unrelated and 5 is equivalent.\n\n{sentence1}",
        ),
        "{sentence1}": (
            "Sentence: {sentence2}\nSimilarity on a scale of 0 to 5: {answer_str}\n\n"
            "Produce another sentence that it could have been compared with.",
        ),
    },
}
