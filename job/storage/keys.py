"""What keys may be, and which of them a URI that names one artifact is about."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from job.errors import Refused

_CHECKPOINT_PART: Final = r"\.meta|\.index|\.data-\d+-of-\d+"
_SHARD: Final = r"-\d+-of-\d+"  # of a checkpoint in TensorFlow's first format
_WEIGHTS: Final = (".h5", ".hdf5")  # of a Keras model, whose architecture may lie beside them


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The objects that a store lists: those whose keys match; all of these begin with `prefix`."""

    prefix: str = ""
    keys: re.Pattern[str] = re.compile(".*", re.DOTALL)

    def has(self, key: str) -> bool:
        """Return whether an object with this key is listed."""
        return self.keys.fullmatch(key) is not None

    def narrow(self, prefix: str) -> str:
        """Return the prefix to search for what begins with `prefix` and is listed."""
        return max(prefix, self.prefix, key=len)


EVERYTHING: Final = Selection()


def belonging_to(name: str) -> Selection:
    """Return what belongs to the artifact that is found by the object `name` beside it."""
    if name in ("saved_model.pb", "saved_model.pbtxt"):
        return Selection(keys=re.compile(rf"{re.escape(name)}|variables/.*|assets(\.extra)?/.*", re.DOTALL))
    if name.endswith(_WEIGHTS):
        return Selection(keys=re.compile(rf"{re.escape(name)}|[^/]*\.json"))
    stem = re.sub(rf"({_CHECKPOINT_PART})$", "", name)
    return Selection(prefix=stem, keys=re.compile(rf"{re.escape(stem)}({_CHECKPOINT_PART}|{_SHARD})?"))


def plain(key: str) -> str:
    """Return `key` if its parts are plain names, so that it stays below any root; else raise `Refused`."""
    if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
        raise Refused(f"{key!r} is no plain relative key", remedy="rename it without empty parts, '.' and '..'")
    return key


def printable(key: str) -> str:
    """Return `key` for a message: what a terminal would obey, and what is no text, is written as in a URL."""
    return "".join(char if char.isprintable() else quote(char, errors="surrogateescape") for char in key)
