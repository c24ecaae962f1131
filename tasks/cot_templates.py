"""Wordings of the chain-of-thought tasks: ten per kind of question, with and without reasoning.

The patterns use the fields question, rationale and answer. Every reasoning target ends with one of
`ENDINGS`, which `tasks.answers` reads back.
"""

import dataclasses

from flan_jax.prompts import Template, TemplateSet

FIELDS = ("question", "rationale", "answer")

# A target is the rationale and one of these. Each states the answer in a form of its own.
ENDINGS = (
    " So the answer is {answer}.",
    "\nAnswer: {answer}.",
    " The answer is therefore {answer}.",
    "\nFinal answer: {answer}.",
    " Hence the answer must be {answer}.",
    " The final answer is {answer}.",
    " That settles it, and the answer is {answer}.",
)


@dataclasses.dataclass(frozen=True)
class Wording:
    """Input patterns of one kind of question: ten that ask for reasons, ten for the answer only."""

    reasoned: tuple[str, ...]
    direct: tuple[str, ...]


def reasoned_set(name: str, group: str, seed: int) -> TemplateSet:
    r"""Returns the ten templates of a set with the rationale, then the answer, as the target.

    In {'question': '1+1?', 'rationale': 'One more than 1 is 2.', 'answer': '2'}, out for instance
    {'inputs': '1+1?\nReason step by step before you answer.', 'targets': 'One more than 1 is 2. So
    the answer is 2.'}. The endings rotate, starting at another one for each set.
    """
    offset = sum(name.encode("utf-8"))
    templates = [
        Template(pattern, "{rationale}" + ENDINGS[(i + offset) % len(ENDINGS)], f"{name}_{i}")
        for i, pattern in enumerate(WORDINGS[group].reasoned)
    ]
    return _template_set(name, templates, seed)


def direct_set(name: str, group: str, seed: int) -> TemplateSet:
    r"""Returns the ten templates of a set with nothing but the answer as the target.

    In {'question': '1+1?', 'rationale': '...', 'answer': '2'}, out for instance {'inputs':
    '1+1?\nGive only the result.', 'targets': '2'}.
    """
    templates = [
        Template(pattern, "{answer}", f"{name}_direct_{i}")
        for i, pattern in enumerate(WORDINGS[group].direct)
    ]
    return _template_set(f"{name}_direct", templates, seed)


def _template_set(name: str, templates: list[Template], seed: int) -> TemplateSet:
    return TemplateSet(
        name, templates, fields=FIELDS, target_fields=("rationale", "answer"), seed=seed
    )


WORDINGS = {
    "math": Wording(
        reasoned=(
            "{question}\nReason step by step before you answer.",
            "Work through this problem and show each calculation.\n\n{question}",
            "Problem: {question}\nSolution with all steps:",
            "{question} Write down how you get there, then state the result.",
            "Explain every step of this word problem, then give the number asked for.\n{question}",
            "A pupil asks you: {question}\nTalk the pupil through the solution.",
            "{question}\n\nFirst the calculation, then the final number.",
            "Solve carefully, one step at a time: {question}",
            "Question: {question}\nDo not guess; derive the answer.",
            "Read the problem below and reason out loud until you know the result.\n\n"
            "{question}\n\nReasoning:",
        ),
        direct=(
            "{question}\nGive only the result.",
            "What number is asked for? {question}",
            "Problem: {question}\nResult:",
            "{question} Answer with a number and nothing else.",
            "Solve this and write down just the final number.\n{question}",
            "{question}\n\nNumber:",
            "No working, please, only the result: {question}",
            "Question: {question}\nShort answer:",
            "Compute what the following problem asks for.\n\n{question}",
            "{question} =",
        ),
    ),
    "yes_no": Wording(
        reasoned=(
            "{question}\nExplain what you know about this, then decide between yes and no.",
            "Think it over before you say yes or no.\n\n{question}",
            "{question}\nFirst the facts that matter, then your verdict.",
            "Question: {question}\nReasoning, followed by yes or no:",
            "Give your grounds first and your yes or no last: {question}",
            "{question}\n\nWhich facts settle this? State them and conclude.",
            "You are asked the following. {question} Justify your reply, then give it.",
            "Decide the question below by reasoning about it.\n{question}",
            "{question}\nWalk through the evidence and finish with yes or no.",
            "Consider carefully: {question} Begin with why.",
        ),
        direct=(
            "{question}\nSay yes or no.",
            "Yes or no? {question}",
            "{question} Reply with one word.",
            "Question: {question}\nVerdict:",
            "Decide between yes and no.\n\n{question}",
            "{question}\n\nNo explanation is needed, only yes or no.",
            "One word will do: {question}",
            "Is it yes, or is it no?\n{question}",
            "{question}\nYour decision:",
            "Judge the following and answer yes or no.\n{question}",
        ),
    ),
    "letter": Wording(
        reasoned=(
            "{question}\nReason your way to the right letter.",
            "Pick the correct option, but explain how you found it first.\n\n{question}",
            "{question}\n\nExplanation first, then the letter of your choice.",
            "Test question: {question}\nThink about the options one after another and conclude.",
            "Which option is right? Argue, then choose.\n{question}",
            "{question}\nShow the thinking that leads to one of the letters.",
            "Look at the question and its lettered options.\n\n{question}\n\nReasoning and choice:",
            "Do the reasoning in writing and end with a letter: {question}",
            "{question}\nRule out what is wrong and settle on one letter, saying why.",
            "Answer this by thinking step by step, letter last.\n{question}",
        ),
        direct=(
            "{question}\nName the right letter.",
            "Pick the correct option.\n\n{question}",
            "{question}\n\nLetter:",
            "Test question: {question}\nYour choice:",
            "Which option is right? Reply with its letter.\n{question}",
            "{question}\nOnly the letter, please.",
            "Choose one of the lettered options.\n\n{question}",
            "Give the letter of the best option: {question}",
            "{question}\nThe correct choice:",
            "One option is correct. Which?\n{question}",
        ),
    ),
    "choice": Wording(
        reasoned=(
            "{question}\nExplain which option fits best and then name it.",
            "Use everyday knowledge to choose, and tell us how.\n\n{question}",
            "{question}\n\nReasons first, choice last.",
            "Question: {question}\nWeigh the options in words before you settle on one.",
            "Say why one of these options is better than the others, then pick it.\n{question}",
            "{question}\nThink about what makes sense here and conclude with an option.",
            "Only one option is meant. Find it by reasoning.\n\n{question}\n\nThoughts:",
            "Explain yourself, then answer: {question}",
            "{question}\nWhat would a sensible person choose, and on what grounds?",
            "Reason about the situation and finish with your choice.\n{question}",
        ),
        direct=(
            "{question}\nName the best option.",
            "Choose one.\n\n{question}",
            "{question}\n\nChoice:",
            "Question: {question}\nBest option:",
            "Pick the option that fits.\n{question}",
            "{question}\nReply with one of the options and nothing else.",
            "Only one option is meant. Which?\n\n{question}",
            "Answer with an option from the list: {question}",
            "{question}\nWhat would a sensible person choose?",
            "Repeat the option that is right.\n{question}",
        ),
    ),
    "inference": Wording(
        reasoned=(
            "{question}\nCompare the two sentences in your own words, then conclude.",
            "Think about what the first sentence tells us and what it leaves open.\n\n{question}",
            "{question}\n\nExplain the relation first and name it last.",
            "Reason from the premise: {question}",
            "{question}\nWhat follows, what does not, and why? End with your conclusion.",
            "Read closely and argue before you decide.\n{question}",
            "Question: {question}\nLine of thought and conclusion:",
            "Justify your judgement, then state it.\n\n{question}",
            "{question}\nStart with the reason for your judgement.",
            "Work out whether this holds, step by step: {question}",
        ),
        direct=(
            "{question}\nState your conclusion.",
            "Judge how the two sentences relate.\n\n{question}",
            "{question}\n\nConclusion:",
            "{question}\nReply with the conclusion alone.",
            "Read closely and decide.\n{question}",
            "Question: {question}\nJudgement:",
            "No reasons, only the judgement: {question}",
            "{question}\nWhat follows?",
            "Decide this in a few words.\n\n{question}",
            "Conclude from what is given: {question}",
        ),
    ),
    "passage": Wording(
        reasoned=(
            "{question}\nPoint to the part of the text that settles this, then answer.",
            "Read the text and explain where the answer comes from, then give it.\n\n{question}",
            "{question}\n\nEvidence first, answer last.",
            "Find the sentence that helps, say what it refers to, and answer.\n{question}",
            "{question}\nShow how the passage leads you to the answer.",
            "Answer from the text, with your reasoning written out: {question}",
            "Text and question: {question}\nReasoning and answer:",
            "{question}\nWhich words of the passage decide it? Conclude from them.",
            "Trace the answer through the passage.\n\n{question}",
            "Explain step by step what the passage says about this.\n{question}",
        ),
        direct=(
            "{question}\nAnswer from the text.",
            "Read the text and answer.\n\n{question}",
            "{question}\n\nShort answer:",
            "Copy the answer out of the passage.\n{question}",
            "{question}\nReply with a few words of the passage.",
            "Text and question: {question}\nReply:",
            "Find the answer in the passage: {question}",
            "{question}\nWhat does the passage say? Be brief.",
            "Give only what was asked for.\n\n{question}",
            "Look it up in the text.\n{question}",
        ),
    ),
}
