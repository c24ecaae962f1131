"""Rows of the structure-to-text data sets and what becomes of them."""


def _gem_ids(name: str, split: str = "train") -> dict:
    return {"gem_id": f"gem-{name}-{split}-0", "gem_parent_id": f"gem-{name}-{split}-0"}


ROWS: dict[str, tuple[dict, ...]] = {
    "web_nlg_en": (
        {
            **_gem_ids("web_nlg_en"),
            # The second pipe has no blanks around it.
            "input": [
                'Oslo_Airport | cityServed | "Oslo, Norway"',
                "Oslo_Airport | runwayLength|3600.0",
            ],
            "category": "Airport",
            "webnlg_id": "Id7",
            "target": "Oslo Airport serves Oslo, Norway, and has a runway of 3600 metres.",
            "references": [],
        },
        # An evaluation row: the target is the first reference.
        {
            **_gem_ids("web_nlg_en", "validation"),
            "input": ["Ane_Dahl | occupation | Sea_captain"],
            "category": "Artist",
            "webnlg_id": "Id8",
            "target": "Ane Dahl is a sea captain.",
            "references": ["Ane Dahl is a sea captain.", "Ane Dahl works as a captain at sea."],
        },
    ),
    "common_gen": (
        {
            **_gem_ids("common_gen"),
            "concept_set_id": 4,
            "concepts": ["boat", "lake", "row"],
            "target": "Two girls row a boat across the lake.",
            "references": [],
        },
        {
            **_gem_ids("common_gen", "validation"),
            "concept_set_id": 5,
            "concepts": ["bread", "cut", "knife", "table"],
            "target": "He cuts bread on the table with a knife.",
            "references": [
                "He cuts bread on the table with a knife.",
                "A knife for cutting bread lies on a table.",
            ],
        },
    ),
    "e2e_nlg": (
        {
            **_gem_ids("e2e_nlg"),
            "meaning_representation": "name[The Gull], eatType[pub], customer rating[5 out of 5], "
            "familyFriendly[no]",
            "target": "The Gull is a top-rated pub, but not for children.",
            "references": [],
        },
        {
            **_gem_ids("e2e_nlg", "validation"),
            "meaning_representation": "name[Aria], near[Cafe Uno]",
            "target": "Aria is near Cafe Uno.",
            "references": ["Aria is near Cafe Uno."],
        },
    ),
    "dart": (
        # Cells in brackets, one of them alone before its relation, one a footnote.
        {
            **_gem_ids("dart"),
            "dart_id": 11,
            "tripleset": [
                "[TABLECONTEXT] HARBOUR Bergen",
                "[TABLECONTEXT] [TITLE] Ports of Norway",
                "Bergen SHIPS 312 [2]  a year",
            ],
            "subtree_was_extended": True,
            "target_sources": ["WikiTableQuestions_mturk"],
            "target": "312 ships a year call at Bergen, a port of Norway.",
            "references": [],
        },
        {
            **_gem_ids("dart", "validation"),
            "dart_id": 12,
            "tripleset": ["Mona Lund DATE_OF_BIRTH 1957"],
            "subtree_was_extended": False,
            "target_sources": ["WikiSQL_decl_sents", "WikiSQL_lily"],
            "target": "Mona Lund was born in 1957.",
            "references": ["Mona Lund was born in 1957.", "1957 is when Mona Lund was born."],
        },
    ),
}

PROCESSED: dict[str, tuple[dict, ...]] = {
    "web_nlg_en": (
        {
            "input_string": 'Oslo Airport, cityServed, "Oslo, Norway"; Oslo Airport, runwayLength, '
            "3600.0",
            "target": "Oslo Airport serves Oslo, Norway, and has a runway of 3600 metres.",
            "answers": ["Oslo Airport serves Oslo, Norway, and has a runway of 3600 metres."],
        },
        {
            "input_string": "Ane Dahl, occupation, Sea captain",
            "target": "Ane Dahl is a sea captain.",
            "answers": ["Ane Dahl is a sea captain.", "Ane Dahl works as a captain at sea."],
        },
    ),
    "common_gen": (
        {
            "concepts": "boat, lake, row",
            "concepts_newline": "boat\nlake\nrow",
            "target": "Two girls row a boat across the lake.",
            "answers": ["Two girls row a boat across the lake."],
        },
        {
            "concepts": "bread, cut, knife, table",
            "concepts_newline": "bread\ncut\nknife\ntable",
            "target": "He cuts bread on the table with a knife.",
            "answers": [
                "He cuts bread on the table with a knife.",
                "A knife for cutting bread lies on a table.",
            ],
        },
    ),
    "e2e_nlg": (
        {
            "meaning_representation": "name = The Gull, eatType = pub, customer rating = 5 out of "
            "5, familyFriendly = no",
            "target": "The Gull is a top-rated pub, but not for children.",
            "answers": ["The Gull is a top-rated pub, but not for children."],
        },
        {
            "meaning_representation": "name = Aria, near = Cafe Uno",
            "target": "Aria is near Cafe Uno.",
            "answers": ["Aria is near Cafe Uno."],
        },
    ),
    "dart": (
        {
            "tripleset": "HARBOUR Bergen; Ports of Norway; Bergen SHIPS 312 a year",
            "tripleset_newline": "HARBOUR Bergen\nPorts of Norway\nBergen SHIPS 312 a year",
            "target": "312 ships a year call at Bergen, a port of Norway.",
            "answers": ["312 ships a year call at Bergen, a port of Norway."],
        },
        {
            "tripleset": "Mona Lund DATE_OF_BIRTH 1957",
            "tripleset_newline": "Mona Lund DATE_OF_BIRTH 1957",
            "target": "Mona Lund was born in 1957.",
            "answers": ["Mona Lund was born in 1957.", "1957 is when Mona Lund was born."],
        },
    ),
}

DROPPED: dict[str, tuple[dict, ...]] = {}
