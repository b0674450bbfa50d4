"""What may not appear in logs, reports or error texts: secrets; and what a terminal may not be told."""

import os
import re
from dataclasses import replace
from functools import cache
from typing import Final

from job.records import ErrorRecord

REDACTED: Final = "[redacted]"

_SECRET_NAME: Final = re.compile(r"secret|passw(?:or)?d|token|credential|authorization", re.IGNORECASE)

# Every repetition that may fail later is bounded: time must not grow with the square of a text's length.
_PATTERNS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        # Authorization: everything to the end of the line
        (r"(authorization\W{1,4})\S[^\r\n]*", rf"\1{REDACTED}"),
        (r"\b(bearer\s{1,8})[\w.~+/=-]{6,}", rf"\1{REDACTED}"),
        # scheme://user:password@host, and the query of a presigned URL
        (r"([a-z][a-z0-9+.-]{0,20}://)[^\s/?#\"'<>]{1,999}@", rf"\1{REDACTED}@"),
        (r"([a-z][a-z0-9+.-]{0,20}://[^\s?\"'<>]{0,2048}\?)[^\s\"'<>]+", rf"\1{REDACTED}"),
        # the same query after a bare path, as urllib3 quotes it; the headers of the same names
        (
            r"(x-(?:amz|goog)-[\w-]{1,64}|\bsig(?:nature)?)([\"']?\s{0,8}[=:>]\s{0,8})b?[\"']?[^\s&\"',;<>]+",
            rf"\1\2{REDACTED}",
        ),
        # name = value, "name": "value" and <Name>value</Name>; not a tensor such as token_type:0
        (r"((?:secret[\w-]{0,64}|passw(?:or)?d)[\"']?\s{0,8}[=:>]\s{0,8})b?[\"']?[^\s&\"',;<>]+", rf"\1{REDACTED}"),
        (r"((?:token|credentials?)[\"']?\s{0,8}[=:>]\s{0,8})b?[\"']?[^\s&\"',;<>]{8,}", rf"\1{REDACTED}"),
        (r"(?-i:AKIA|ASIA)[a-z0-9]{12,}", REDACTED),
    )
)


def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name is left out whatever it holds."""
    return _SECRET_NAME.search(name) is not None


def redacted(text: str) -> str:
    """Return `text` without what looks like a secret, or is one of this process's environment."""
    for secret in environment_secrets():
        text = text.replace(secret, REDACTED)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def printable(text: str) -> str:
    """Return `text` with everything invisible escaped: a name must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


@cache
def environment_secrets() -> tuple[str, ...]:
    """Return the secrets that this process was started with; paths and short ones are none, and would blot out text.

    Looked for once, as each field of each log line asks.
    """
    return tuple(
        value
        for name, value in os.environ.items()
        if is_secret_name(name) and len(value) >= 8 and not value.startswith("/")
    )


def as_known(record: ErrorRecord, directory: str) -> ErrorRecord:
    """Name files as the user knows them, below the source and not below `directory`; leave out secrets."""
    what, where = (redacted(text.replace(f"{directory}/", "")) for text in (record.what, record.where))
    return replace(record, what=what, where=where)
