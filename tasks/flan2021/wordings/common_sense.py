"""Wordings of the commonsense cluster: copa, hellaswag, story_cloze, piqa."""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "copa": {
        "{answer}": (
            "{premise}\n\nWhat is the most plausible {question} of this?\n\n{options_}",
            "Premise: {premise}\nAsked for: the {question}\n\n{options_}\n\nAnswer:",
            "Finish the sentence so that it makes sense.\n\n{glm_premise}\n\n{options_}",
            "Here is something that happened one day: {premise} Name its likely {question}."
            "\n\n{options_}",
            'I am looking for the {question} of an event. The event: "{premise}" Write the '
            "sentence that states it best.\n\n{options_}",
            "Use common sense to find the {question} of what this sentence describes."
            '\n\n"{premise}"\n\n{options_}',
            "Assume that this is true: {premise} What was probably its {question}?\n\n{options_}",
            "Event: {premise}\nIts {question}, most likely:\n\n{options_}",
        ),
        "{premise}": (
            '"{answer}"\n\nThis sentence tells the {question} of some event. Write a sentence that '
            "tells the event itself.",
        ),
        "{answer} {premise}": (
            "Make up two short sentences about daily life, the first of which gives the {question} "
            "of what happens in the second.",
        ),
    },
    "hellaswag": {
        "{answer}": (
            "Continue the description in the most sensible way.\n\n{context}\n\n{options_}",
            "{context}\n\nWhat comes next?\n\n{options_}",
            "Topic: {activity_label}\nText: {context}\n\nHow does the text most likely go on?"
            "\n\n{options_}",
            'A passage headed "{activity_label}" breaks off too early:\n\n{context}\n\n'
            "Supply the part that is missing.\n\n{options_}",
            "Read the beginning and give the ending that common sense suggests.\n\n"
            "Beginning: {context}\n\n{options_}\n\nEnding:",
            'I started a text on the topic "{activity_label}" and got stuck. Can you complete it '
            "for me?\n\n{context}\n\n{options_}",
            "Picture the scene or the instructions in this text, then say how it carries on."
            "\n\n{context}\n\n{options_}",
            "Subject: {activity_label}\n\n{context} ...\n\nThe text stops before its end. Write a "
            "continuation that could really happen.\n\n{options_}",
            'What would make sense right after the words "{context}"?\n\n{options_}',
            "{context}\n\nThe above comes from a video description or a how-to article about "
            '"{activity_label}". Predict the rest.\n\n{options_}',
        ),
    },
    "story_cloze": {
        "{answer}": (
            "{context}\n\nAnd then? Bring the story to a close.\n\n{options_}",
            "Write the fifth and last sentence of the story.\n\n{context}\n\n{options_}",
            "Story so far: {context}\n\n{options_}\n\nLast sentence:",
            'A friend tells you: "{context}" What would be the most natural way to round the story '
            "off?\n\n{options_}",
            "Conclude this short story with one sentence that fits what happened before:"
            "\n\n{context}\n\n{options_}",
            "Four sentences of a story are given. What sentence should come after them?"
            "\n\n{context}\n\n{options_}",
            "The final line of this little tale has been lost. Restore it.\n\nTale: {context}"
            "\n\n{options_}",
            "{context}\n\nUse common sense to tell, in a sentence, what happened in the end."
            "\n\n{options_}",
        ),
        "{context} {answer}": (
            "Write a story of five sentences about something that could happen to anyone.",
            "I would like to read a very short everyday story: five simple sentences with a clear "
            "ending. Please make one up.",
        ),
    },
    "piqa": {
        "{answer}": (
            "{goal}\n\nWhat is a sensible way to do this?\n\n{options_}",
            "Goal: {goal}\n\n{options_}\n\nSolution:",
            "Give practical advice that would really work.\n\n{goal}\n\n{options_}",
            "Someone asks for help with a practical matter: {goal}\nWhat should they do?"
            "\n\n{options_}",
            "Using what you know about how physical objects behave, say how this is done best: "
            "{goal}\n\n{options_}",
            'How would you manage the task, or complete the instruction, "{goal}"?\n\n{options_}',
            "{goal}\n\nGo on with the words that a handy person would use.\n\n{options_}",
            "A matter of everyday know-how: {goal}\n\nReply with the method that makes physical "
            "sense.\n\n{options_}",
        ),
        "{goal}": (
            "What is a person trying to do who acts on this advice?\n\n{answer}",
            "Method: {answer}\n\nState the goal that this method serves.",
        ),
    },
}
