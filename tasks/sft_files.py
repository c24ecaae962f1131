r"""Files of demonstrations: JSON lines of two kinds, which may be mixed.

| kind           | keys                                                                        |
|----------------|-----------------------------------------------------------------------------|
| one prompt     | "prompt", "response": texts; the response follows the prompt as it is       |
| a conversation | "messages": [{"role": "system", "user" or "assistant", "content": text}, ..] |

Both may have "user", who gave the prompt: a text or a number. A prompt without one is its own user.

A turn of a conversation is written `<|role|>`, newline, text, and behind it a newline or, where an
assistant's turn ends, the vocabulary's end token and a newline; the marks are ordinary text (Tulu's
form, Wang et al. 2023, arXiv 2306.04751).
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from flan_jax.errors import ConfigError, DataError, suggest

ROLES = ("system", "user", "assistant")


@dataclasses.dataclass(frozen=True)
class Piece:
    """A part of what follows the first prompt: a reply to learn, or what stands between two."""

    text: str
    is_reply: bool


@dataclasses.dataclass(frozen=True)
class Demonstration:
    """One example.

    Attributes:
      prompt: everything in front of the first reply.
      pieces: replies and what stands between them; the first and the last are replies.
      user: who gave the prompt.
    """

    prompt: str
    pieces: tuple[Piece, ...]
    user: str

    @property
    def context(self) -> str:
        """Everything in front of the last reply."""
        return self.prompt + "".join(piece.text for piece in self.pieces[:-1])

    @property
    def text(self) -> str:
        """All of it."""
        return self.context + self.pieces[-1].text


def read_files(files: str | Sequence[str]) -> tuple[list[Demonstration], int]:
    """Reads demonstrations in file order, and counts those without a reply, which are left out.

    A turn of the user after the last reply is left off: there is nothing to learn from it.

    Raises:
      ConfigError: no file is named.
      DataError: a file is missing, or a line is no demonstration (file, line, what was found).
    """
    paths = [files] if isinstance(files, str) else list(files)
    if not paths:
        raise ConfigError(
            "tasks.Sft.files is empty, so there are no demonstrations to read. Name JSON lines "
            "files: --gin.tasks.Sft.files='\"/data/demonstrations.jsonl\"'."
        )
    made, without_reply = [], 0
    for path in (pathlib.Path(os.path.expanduser(path)) for path in paths):
        if not path.is_file():
            folder = path.parent
            names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
            raise DataError(
                f"tasks.Sft.files names {path}, which is no file."
                + (suggest(path.name, names) or f" Its folder holds {names[:5] or 'nothing'}.")
            )
        with path.open(encoding="utf-8-sig", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    read = _parse(line, f"{path}, line {number}")
                    without_reply += read is None
                    made += [read] if read else []
    return made, without_reply


def _parse(line: str, place: str) -> Demonstration | None:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{place}, is not JSON: {error}.") from error
    if not isinstance(record, dict):
        raise DataError(f"{place}: expected a JSON object, found {type(record).__name__}.")
    if "messages" in record:
        parts = _conversation(record["messages"], place)
    else:
        parts = _single(record, place)
    if parts is None:
        return None
    prompt, pieces = parts
    user = record.get("user")
    if user is None or user == "":
        user = "prompt " + hashlib.sha256(prompt.encode("utf-8")).hexdigest()
    elif isinstance(user, bool) or not isinstance(user, str | int):
        raise DataError(f"{place}: 'user' is {user!r:.60}, expected a text or a number.")
    return Demonstration(prompt, tuple(pieces), str(user))


def _single(record: Mapping[str, Any], place: str) -> tuple[str, list[Piece]] | None:
    prompt, response = record.get("prompt"), record.get("response")
    if not isinstance(prompt, str) or not isinstance(response, str):
        raise DataError(
            f'{place}: expected the texts "prompt" and "response", or "messages"; found the keys '
            f"{sorted(record)}.{suggest('response', record)}"
        )
    return (prompt, [Piece(response, True)]) if response.strip() else None


def _conversation(messages: Any, place: str) -> tuple[str, list[Piece]] | None:
    if not isinstance(messages, list):
        raise DataError(f"{place}: 'messages' is {messages!r:.60}, expected a list of turns.")
    prompt, pieces, between = "", [], ""
    for number, message in enumerate(messages, start=1):
        role, text = _turn(message, f"{place}, turn {number}")
        between += f"<|{role}|>\n"
        if role != "assistant":
            between += f"{text.strip()}\n"
        elif text.strip():
            if pieces:
                # The reply before ends with its end token, and the line with this.
                pieces.append(Piece("\n" + between, False))
            else:
                prompt = between
            pieces.append(Piece(text.strip(), True))
            between = ""
    return (prompt, pieces) if pieces else None


def _turn(message: Any, place: str) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise DataError(f"{place} is {message!r:.60}, expected an object.")
    role, text = message.get("role"), message.get("content")
    if role not in ROLES:
        raise DataError(
            f"{place}: 'role' is {role!r:.60}, expected one of {list(ROLES)}."
            + suggest(str(role), ROLES)
        )
    if not isinstance(text, str):
        raise DataError(f"{place}: 'content' is {text!r:.60}, expected a text.")
    return role, text
