"""Wordings of the closed-book question answering data sets; the two halves of ARC share theirs."""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "trivia_qa": {
        "{answer}": (
            "Trivia time! {question}",
            "Question: {question}\nShort answer:",
            "Give a short answer, without any explanation.\n\n{question}",
            "What would you write on the answer card for this quiz question?\n\n{question}",
            "{question}\n\nReply with just the name, date or phrase that answers this.",
            "Here is one from a pub quiz:\n\n{question}\n\nOur team needs the answer in a few "
            "words.",
            "I am stuck on a trivia question and want to know the answer, nothing else. It goes: "
            "{question}",
            "Answer from memory, with no sources at hand: {question}",
            "Please solve this piece of general knowledge in a word or a short phrase.\n"
            "Q: {question}\nA:",
            'The host of a game show reads out "{question}" and you press the buzzer. What do you '
            "say?",
        ),
    },
    "natural_questions": {
        "{answer}": (
            "{question}\n\nAnswer briefly.",
            "Someone typed this into a search engine: {question}\nWhat short answer were they "
            "after?",
            "Question: {question}\n\nThe answer, in a few words:",
            "In at most five words: {question}",
            "Resolve the query with a name, a number, a date or a short phrase.\n\n"
            "Query: {question}",
            "I have been wondering, {question} A very short answer is enough.",
            "Without looking anything up, answer this question as concisely as possible.\n"
            "{question}",
            'My question is "{question}" and all I want is the bare fact that settles it.',
            "User: {question}\nAssistant (short and factual):",
            "Imagine an encyclopedia that replies with facts only, never with whole sentences. "
            "What does it reply to this?\n\n{question}",
        ),
    },
    "arc": {
        "{answer}": (
            "Science quiz: {question}\n\n{options_}\n\nRight answer:",
            "Answer this science exam question.\n\n{question}\n\n{options_}",
            "{question}\n\nState the correct answer in full.\n\n{options_}",
            "Suppose you are sitting a science test at school. How do you answer this one?\n\n"
            "{question}\n\n{options_}",
            'A pupil needs help with homework and reads out: "{question}" What is the right '
            "answer?\n\n{options_}",
            "Use what you know about nature and science to solve the problem.\n\n"
            "Problem: {question}\n\n{options_}",
            "Which answer fits the question at the end?\n\n{options_}\n\nQuestion: {question}",
        ),
        "{question}": (
            'Write a question for a school science test whose correct answer is "{answer}".',
            "The mark sheet of a science exam reads: {answer}\nWhat could the question have been?",
            "Answer: {answer}\n\nAs a science teacher, come up with an exam question for it.",
        ),
    },
}
