"""Credentials in texts that are printed or kept: found by their form, and left out.

Only what has a known form is found: passwords in URLs, signatures in their queries, the tokens of
common services, private keys, and variables whose name says what they are. Standard library only.
"""

import logging
import re
import sys
import traceback
from types import TracebackType

HIDDEN = "[hidden]"
_VALUE = r"[^\s&#'\"<>\\]+"

# What it is -> a pattern whose group 'keep', where it has one, stays.
_SURE = {
    "a password in a URL": r"(?P<keep>\b[a-zA-Z][\w+.-]{0,20}://)[^\s/@:'\"]*:[^\s/@'\"]+(?=@)",
    "a signature or token in a URL": (
        r"(?P<keep>[?&](?i:(?:x-(?:goog|amz)-)?(?:signature|credential|security-token)|sig"
        r"|awsaccesskeyid|googleaccessid|(?:access[_-]?|auth[_-]?|refresh[_-]?)?token|api[_-]?key"
        rf"|password|passwd|secret|client[_-]secret)=){_VALUE}"
    ),
    "a private key": (
        r"(?P<keep>-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?=-----END [A-Z ]*PRIVATE KEY|\Z)"
    ),
    "an access key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a key or token of Google": r"\bAIza[\w-]{35}|\bya29\.[\w.-]{20,}|\bGOCSPX-[\w-]{20,}",
    "a token of Hugging Face": r"\bhf_[A-Za-z0-9]{30,}\b",
    "a token of GitHub": r"\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_\w{22,}",
    "a token of GitLab": r"\bglpat-[\w-]{20,}",
    "a token of Slack": r"\bxox[abeoprs]-[\w-]{10,}",
    "a key of OpenAI's or Anthropic's form": r"\bsk-(?:(?:ant|proj)-[\w-]{20,}|[A-Za-z0-9]{32,})",
    "a JSON web token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]*",
}
# Names alone tell less: a text about passwords is no password.
_LIKELY = (
    r"(?P<keep>\b(?i:authorization)['\"]?\s*[:=]\s*['\"]?(?i:(?:basic|bearer|token)\s+)?)"
    rf"{_VALUE}",
    r"(?P<keep>\b(?i:bearer)\s+)[\w.~+/-]{16,}=*",
    # As the environment has them. Shorter values are numbers, such as END_TOKEN = 1.
    r"(?P<keep>\b(?:[A-Z0-9]+_)*(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|PRIVATE_KEY"
    r"|SECRET_KEY)\b['\"]?\s*[=:]\s*['\"]?)[^\s'\"]{6,}",
    # As JSON files of service accounts and libraries' settings have them.
    r"(?P<keep>['\"](?:access_token|refresh_token|client_secret|private_key|password|api_key"
    r"|private_key_id|secret_key|aws_secret_access_key)['\"]\s*:\s*['\"])[^'\"]+",
)
_NAMED = [(what, re.compile(pattern)) for what, pattern in _SURE.items()]
_ALL = [*(pattern for _, pattern in _NAMED), *map(re.compile, _LIKELY)]


def redact(text: str) -> str:
    """Returns a text with '[hidden]' in place of credentials.

    >>> redact("read https://me:geheim@host/x?sig=abc&part=2")
    'read https://[hidden]@host/x?sig=[hidden]&part=2'
    """
    for pattern in _ALL:
        text = pattern.sub(_hide, text)
    return text


def _hide(match: re.Match[str]) -> str:
    return match.groupdict().get("keep", "") + HIDDEN


def credential_in(text: str) -> str | None:
    """Returns what kind of credential a text surely has, such as 'a password in a URL'."""
    return next((what for what, pattern in _NAMED if _fresh(pattern, text)), None)


def _fresh(pattern: re.Pattern[str], text: str) -> bool:
    """Whether it finds anything that is not hidden already."""
    return any(HIDDEN not in match.group() for match in pattern.finditer(text))


class _Record(logging.LogRecord):
    def getMessage(self) -> str:  # noqa: N802 - logging's name
        return redact(super().getMessage())


def guard_output() -> None:
    """From here on, log messages of any library and the traceback of a crash hide credentials."""
    logging.setLogRecordFactory(_Record)
    sys.excepthook = _print_crash


def _print_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    print(redact("".join(traceback.format_exception(kind, error, trace))), file=sys.stderr, end="")
