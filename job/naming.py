"""The names of artifacts: where their results go, and how a user picks them."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import quote

from job.records import Artifact, Format

_MAX_PART_BYTES: Final = 200  # a directory's name has 255, and formats are added to names
_MAX_NAME_BYTES: Final = 700  # a key has 1,024, and places and files below come after names


def name_of(entry: str, uri: str) -> str:
    """Name an artifact by its entry; by the last part of the source's `uri` where the source itself is the artifact.

    A name is a relative path on any machine: parts that are empty or dots, and characters that
    cannot be printed, are written as in a URL, and what is too long ends with its digest.
    """
    name = entry.removesuffix("/") or uri.rstrip("/").rpartition("/")[2]
    if not name.strip("./"):
        return "model"
    return _short("/".join(_short(_plain(part), _MAX_PART_BYTES) for part in name.split("/")), _MAX_NAME_BYTES)


def matches(name: str, pattern: str) -> bool:
    """Tell whether a case-sensitive glob fits an artifact's name or a directory that it lies in.

    So does a name itself, with brackets in it that a glob would take for a set of characters.
    """
    return any(candidate == pattern or fnmatchcase(candidate, pattern) for candidate in (name, *_parents(name)))


def may_match_below(name: str, pattern: str) -> bool:
    """Tell whether a glob may fit something that lies in the artifact `name`, of which nothing is known yet."""
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return fixed.startswith(f"{name}/") or (fixed != pattern and f"{name}/".startswith(fixed))


_NO_NAMES: Final = frozenset(
    {"checkpoint", "ckpt", "def", "eval", "export", "exported", "frozen", "graph", "graphdef", "inf", "infer"}
    | {"inference", "model", "output", "saved", "savedmodel", "tensorflow", "tf", "train"}
)
"""Words in the names of models that only say that they are some."""


def words_of(name: str) -> frozenset[str]:
    """Return the words of a file's name, in lower case."""
    return frozenset(re.split(r"[\W_]+", name.lower()))


def own_name(name: str, directory: str) -> str:
    """Return what a file's name says beside that it is a model's: of ``resnet_v1_frozen`` it is ``resnet_v1``.

    Empty where that is nothing, as of ``frozen_inference_graph``, or no more than its directory's name says.
    """
    above = _own_words(directory.removesuffix("/").rpartition("/")[2])
    own = _own_words(name)
    return "" if own == above else "_".join(own)


def _own_words(name: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", name.lower()) if word and word not in _NO_NAMES]


def told_apart(artifacts: Iterable[Artifact]) -> Iterator[Artifact]:
    """Yield the artifacts, with their formats added to names that several of them have.

    A SavedModel's directory and a checkpoint's prefix may be the same key. What is in an archive has
    the archive's name before its own, as has what lies in a directory: a bucket may have both of one name.
    """
    artifacts = tuple(artifacts)
    count = Counter(artifact.name for artifact in artifacts)
    directories = {parent for artifact in artifacts for parent in _parents(artifact.name)}
    for artifact in artifacts:
        is_directory = artifact.format is Format.ARCHIVE and artifact.name in directories
        if count[artifact.name] == 1 and not is_directory:
            yield artifact
        else:
            yield replace(artifact, name=_free(f"{artifact.name}.{artifact.format.value}", count))


def _free(name: str, count: Counter[str]) -> str:
    while count[name]:
        name += "_"
    count[name] += 1
    return name


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _short(name: str, limit_bytes: int) -> str:
    if len(name.encode()) <= limit_bytes:
        return name
    end = f"~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return name.encode()[: limit_bytes - len(end)].decode(errors="ignore") + end


def _plain(part: str) -> str:
    if not part.strip("."):
        return part.replace(".", "%2E") or "%"
    return "".join(
        char if char.isprintable() and char != "\\" else quote(char, errors="surrogateescape") for char in part
    )
