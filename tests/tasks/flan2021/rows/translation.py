"""Raw rows of the translation cluster, and what processing makes of them."""

_ENGLISH = ("The bridge is closed until Monday.", 'She said: "It\'s 5%."')

# Task -> code and name of the other language, and the two sentences in it.
_OTHER = {
    "para_crawl_enes": (
        "es",
        "Spanish",
        ("El puente está cerrado hasta el lunes.", "Ella dijo: «Es el 5 %»."),
    ),
    "wmt14_enfr": (
        "fr",
        "French",
        ("Le pont est fermé jusqu'à lundi.", "Elle a dit : « C'est 5 %. »"),
    ),
    "wmt16_translate_deen": (
        "de",
        "German",
        ("Die Brücke ist bis Montag gesperrt.", "Sie sagte: „Es sind 5 %.“"),
    ),
    "wmt16_translate_tren": (
        "tr",
        "Turkish",
        ("Köprü pazartesiye kadar kapalı.", '"%5," dedi.'),
    ),
    "wmt16_translate_csen": (
        "cs",
        "Czech",
        ("Most je do pondělí uzavřen.", "Řekla: „Je to 5 %.“"),
    ),
    "wmt16_translate_fien": (
        "fi",
        "Finnish",
        ("Silta on suljettu maanantaihin asti.", 'Hän sanoi: "Se on 5 %."'),
    ),
    "wmt16_translate_roen": (
        "ro",
        "Romanian",
        ("Podul este închis până luni.", "Ea a spus: „Este 5%.”"),
    ),
    "wmt16_translate_ruen": (
        "ru",
        "Russian",
        ("Мост закрыт до понедельника.", "Она сказала: «Это 5 %»."),
    ),
}

ROWS = {
    task: tuple(
        {"en": english, code: other} for english, other in zip(_ENGLISH, others, strict=True)
    )
    for task, (code, _, others) in _OTHER.items()
}

PROCESSED = {
    task: tuple(
        {"lang1": "English", "lang2": language, "sent1": english, "sent2": other}
        for english, other in zip(_ENGLISH, others, strict=True)
    )
    for task, (_, language, others) in _OTHER.items()
}
