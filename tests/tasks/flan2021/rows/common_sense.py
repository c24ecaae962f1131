"""Raw rows of the commonsense cluster, and what processing makes of them."""

ROWS = {
    "copa": (
        {
            "premise": "The milk boiled over.",
            "choice1": "The cook stayed by the stove.",
            "choice2": "The cook went to answer the door.",
            "question": "cause",
            "label": 1,
            "idx": 0,
        },
        {
            "premise": "I left my umbrella on the train.",
            "choice1": "I got wet on the way home.",
            "choice2": "I missed the next train.",
            "question": "effect",
            "label": 0,
            "idx": 1,
        },
    ),
    "hellaswag": (
        # The sections of a how-to text become lines; endings lose the marks.
        {
            "context": "[header] How to repot a cactus [title] Put on thick gloves. [step] The "
            "spines are sharp. [substeps] Garden gloves will do.",
            "endings": [
                "Oven mitts work as well. [title] Fill the new pot. [step] Use dry soil.",
                "[substeps] Take the gloves off before you touch the spines.",
                "Sing to the cactus for an hour.",
                "Water the gloves every day.",
            ],
            "activity_label": "Home and Garden",
            "label": 0,
            "split_type": "indomain",
            "source_id": "wikihow~101",
        },
        # A caption of a video, cut within a sentence; its own brackets stay.
        {
            "context": "A man [in red] kneels beside a canoe. He",
            "endings": [
                "eats the canoe.",
                "pushes it into the water.",
                "is a canoe.",
                ", the paddle flies.",
            ],
            "activity_label": "Canoeing",
            "label": 1,
            "split_type": "zeroshot",
            "source_id": "activitynet~v_101",
        },
    ),
    "story_cloze": (
        {
            "context": "Mia baked a cake for her dad. She forgot the sugar. Her dad took a bite. "
            "He made a face.",
            "endings": ["Mia laughed and made a new cake.", "Mia bought a boat."],
            "label": 1,
        },
        {
            "context": "Omar trained for a race all year. That day he woke up late. He ran to the "
            "start. Everybody was gone.",
            "endings": ["Omar won the race.", "Omar set two alarms from then on."],
            "label": 2,
        },
    ),
    "piqa": (
        {
            "id": "p-1",
            "goal": "How do I keep a door from slamming in the wind?",
            "sol1": "Put a wedge under it.",
            "sol2": "Put a feather under it.",
            "label": 0,
        },
        {
            "id": "p-2",
            "goal": "To dry a wet book,",
            "sol1": "stand it up in a bucket of water.",
            "sol2": "stand it up with its pages fanned out.",
            "label": 1,
        },
    ),
}

PROCESSED = {
    "copa": (
        {
            "premise": "The milk boiled over.",
            "question": "cause",
            "glm_premise": "The milk boiled over because",
            "options": ["The cook stayed by the stove.", "The cook went to answer the door."],
            "answer": "The cook went to answer the door.",
        },
        {
            "premise": "I left my umbrella on the train.",
            "question": "effect",
            "glm_premise": "I left my umbrella on the train so",
            "options": ["I got wet on the way home.", "I missed the next train."],
            "answer": "I got wet on the way home.",
        },
    ),
    "hellaswag": (
        {
            "context": "How to repot a cactus\nPut on thick gloves.\nThe spines are sharp.\nGarden "
            "gloves will do.",
            "activity_label": "Home and Garden",
            "options": [
                "Oven mitts work as well. Fill the new pot. Use dry soil.",
                "Take the gloves off before you touch the spines.",
                "Sing to the cactus for an hour.",
                "Water the gloves every day.",
            ],
            "answer": "Oven mitts work as well. Fill the new pot. Use dry soil.",
        },
        {
            "context": "A man [in red] kneels beside a canoe. He",
            "activity_label": "Canoeing",
            "options": [
                "eats the canoe.",
                "pushes it into the water.",
                "is a canoe.",
                ", the paddle flies.",
            ],
            "answer": "pushes it into the water.",
        },
    ),
    "story_cloze": (
        {
            "context": "Mia baked a cake for her dad. She forgot the sugar. Her dad took a bite. "
            "He made a face.",
            "options": ["Mia laughed and made a new cake.", "Mia bought a boat."],
            "answer": "Mia laughed and made a new cake.",
        },
        {
            "context": "Omar trained for a race all year. That day he woke up late. He ran to the "
            "start. Everybody was gone.",
            "options": ["Omar won the race.", "Omar set two alarms from then on."],
            "answer": "Omar set two alarms from then on.",
        },
    ),
    "piqa": (
        {
            "goal": "How do I keep a door from slamming in the wind?",
            "options": ["Put a wedge under it.", "Put a feather under it."],
            "answer": "Put a wedge under it.",
        },
        {
            "goal": "To dry a wet book,",
            "options": [
                "stand it up in a bucket of water.",
                "stand it up with its pages fanned out.",
            ],
            "answer": "stand it up with its pages fanned out.",
        },
    ),
}

DROPPED = {
    "hellaswag": (
        {
            "context": "A woman opens a jar. She",
            "endings": ["tastes it.", "flies.", "melts.", "is a jar."],
            "activity_label": "Preparing food",
            "label": -1,
            "split_type": "indomain",
            "source_id": "activitynet~v_102",
        },
    ),
}
