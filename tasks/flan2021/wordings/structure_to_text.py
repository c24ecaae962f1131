"""Wordings of the data sets that put structured data into words."""

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "web_nlg_en": {
        "{target}": (
            "In this data a semicolon ends each item, and an item is a subject, a property and a "
            "value:\n\n{input_string}\n\nSay all of it in fluent English, in one or more "
            "sentences.",
            "Turn these facts into a short text: {input_string}",
            "Triples: {input_string}\nDescription:",
            "I have some knowledge-graph triples. Could you put them into words that a reader "
            "without any background would understand? Leave nothing out and add nothing."
            "\n\n{input_string}",
            "{input_string}\n\nExpress these triples as plain prose.",
            "How would an encyclopedia phrase this information?\n\n{input_string}",
            "RDF data, with semicolons between the triples: {input_string}\n\nVerbalise the data. "
            "Every triple should be covered by your text.",
            "Imagine that a colleague asks you what our database knows. Answer in natural "
            "sentences, with exactly these records and nothing else: {input_string}",
        ),
        "{input_string}": (
            "Rewrite this text as structured data: triples of a subject, a property in camel case "
            "and a value, with commas inside a triple and semicolons between triples.\n\n{target}",
            'Which facts does the text state? Give them as "subject, property, value" and put a '
            "semicolon between one fact and the next.\n\nText: {target}\nFacts:",
        ),
    },
    "common_gen": {
        "{target}": (
            "Write one sentence about an everyday scene in which all of these words occur: "
            "{concepts}. You may inflect them.",
            "Words to use:\n{concepts_newline}\n\nPut every one of them into a single sensible "
            "sentence.",
            "What might be happening in a picture that shows {concepts}? Reply with one sentence "
            "that mentions them all.",
            "{concepts}\n\nMake a simple, realistic sentence out of this set of concepts.",
            "Help me with a vocabulary exercise: I need a natural sentence that contains "
            "{concepts}, in any order.",
            "Concept set: {concepts}\nSentence that uses the whole set:",
        ),
        "{concepts}": (
            "Name the main nouns and verbs of this sentence in their base forms, separated by "
            "commas.\n\n{target}",
            "Sentence: {target}\nIts key concepts, with commas between them:",
        ),
        "{concepts_newline}": (
            "{target}\n\nExtract the words that carry the meaning of this sentence. Give their "
            "dictionary forms, one per line.",
        ),
        "{target}\n\nKey words:\n{concepts_newline}": (
            "Invent a one-sentence description of an ordinary situation. After it, under the "
            'heading "Key words:", give the concepts that it is built on, one per line.',
        ),
    },
    "e2e_nlg": {
        "{target}": (
            "Describe this place to eat in a sentence or two, using every attribute given."
            "\n\n{meaning_representation}",
            "Attributes of a venue: {meaning_representation}\n\nPut them into words for a city "
            "guide.",
            "{meaning_representation}\n\nHow would you tell a friend about the place with these "
            "details?",
            "Venue data: {meaning_representation}\nVenue description:",
            'A restaurant finder has returned the record "{meaning_representation}". Read it out '
            "to the user as natural English.",
            "Please write a short blurb for a restaurant, pub or cafe. Stick to these facts and "
            "mention each of them: {meaning_representation}",
            "Convert the slots and values into fluent text.\n\nInput: {meaning_representation}\n"
            "Output:",
            "Someone asks where they could eat. You know of one place only, with this profile: "
            "{meaning_representation}. What do you answer?",
            "Here is a meaning representation from the dining domain.\n\n{meaning_representation}"
            "\n\nVerbalise it without adding or dropping information.",
            "Using the details in the record, compose a recommendation or description of the "
            "establishment: {meaning_representation}",
        ),
    },
    "dart": {
        "{target}": (
            "Every entry here links two things by a relation. Write a text that conveys all the "
            "entries.\n\n{tripleset}",
            "Data: {tripleset}\nIn words:",
            "Can you summarise these table facts in complete sentences? {tripleset}",
            "{tripleset_newline}\n\nReport these records in natural English, so that nobody needs "
            "to see the table.",
            "Somebody has taken a few cells out of a table and written them as triples: "
            "{tripleset}\n\nTell the reader what they say.",
            "Generate a fluent sentence (or several, if need be) from this set of triples."
            "\n\nTriples: {tripleset}",
            "What do these subject-relation-object statements tell us? Explain in ordinary prose."
            "\n\n{tripleset_newline}",
            "You are captioning a data record. Cover each part of it and invent nothing."
            "\n\nRecord: {tripleset}\n\nCaption:",
        ),
        "{tripleset_newline}": (
            "Break this text down into triples, one per line. A triple is a subject, then a "
            "relation in capitals with underscores for blanks, then an object.\n\n{target}",
            "Text: {target}\n\nRecover the underlying data as lines of the form "
            '"subject RELATION object".',
        ),
    },
}
