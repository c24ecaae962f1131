"""Raw rows of the text formatting cluster, and what processing makes of them."""

ROWS = {
    "true_case": (
        {
            "en": "Welcome to Hotel Sol in Madrid!",
            "da": "Velkommen til Hotel Sol i Madrid!",
        },
        # Letters beyond ASCII are lower-cased, too.
        {
            "en": "ÅRE and Östersund: 3 Days of Skiing, NOK 999",
            "da": "ÅRE og Östersund: 3 dages skiløb, 999 NOK",
        },
    ),
    "fix_punct": (
        {
            "en": "Don't worry, we're open (also on Sundays)!",
            "da": "Bare rolig, vi har åbent (også om søndagen)!",
        },
        # The marks inside numbers and the letters of other languages stay; no double blank does.
        {
            "en": "From 10:30 - call Søren: prices start at $1,299.50.",
            "da": "Fra 10:30 - ring til Søren: priser fra $1,299.50.",
        },
        # Curly marks.
        {"en": "“Café” – it’s new…", "da": "“Café” – det er nyt…"},
    ),
    "word_segment": (
        {
            "en": "You can also book a room online.",
            "da": "Du kan også bestille et værelse online.",
        },
        # A no-break space and two blanks in a row.
        {"en": "Page\u00a03  of 12", "da": "Side\u00a03  af 12"},
    ),
}

PROCESSED = {
    "true_case": (
        {
            "lower": "welcome to hotel sol in madrid!",
            "answer": "Welcome to Hotel Sol in Madrid!",
        },
        {
            "lower": "åre and östersund: 3 days of skiing, nok 999",
            "answer": "ÅRE and Östersund: 3 Days of Skiing, NOK 999",
        },
    ),
    "fix_punct": (
        {
            "no_punct": "Dont worry were open also on Sundays",
            "answer": "Don't worry, we're open (also on Sundays)!",
        },
        {
            "no_punct": "From 10:30 call Søren prices start at $1,299.50",
            "answer": "From 10:30 - call Søren: prices start at $1,299.50.",
        },
        {"no_punct": "Café its new", "answer": "“Café” – it’s new…"},
    ),
    "word_segment": (
        {
            "no_space": "Youcanalsobookaroomonline.",
            "answer": "You can also book a room online.",
        },
        {"no_space": "Page3of12", "answer": "Page\u00a03  of 12"},
    ),
}

DROPPED = {
    "true_case": ({"en": "read more ...", "da": "Læs mere ..."},),
    "fix_punct": (
        {"en": "Add to basket", "da": "Læg i kurven"},
        {"en": "Version 2.0 for 10:30", "da": "Version 2.0 til kl. 10:30"},
    ),
}
