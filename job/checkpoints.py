"""The files of checkpoints: which belong together, which are missing, which are not what they should be."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from job.content import Content, Kind
from job.errors import BadInput, Incomplete, JobError
from job.records import StoredObject
from job.survey import DATA_FILE, Survey
from job.wording import shown

_PART: Final = re.compile(rf"(.*?)(\.meta|\.index|{DATA_FILE.pattern})", re.DOTALL)
_V1_SHARD: Final = re.compile(r"-(\d{5})-of-(\d{5})")
META_KINDS: Final = (Kind.META_GRAPH, Kind.META_GRAPH_TEXT)
_STAND_INS: Final = (
    Kind.GIT_LFS_POINTER,
    Kind.HTML,
    Kind.XML,
)  # what lies in a file's place; data may look like anything
_NAMES_SHOWN: Final = 5


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The files of one checkpoint, by what follows their common `prefix`, a key that may end with ``/``.

    V2 has ``.index`` and ``.data-00000-of-00001``; V1 has ``-00000-of-00001``, or the prefix is
    itself the file: an empty part. Both have ``.meta``, or had it once.
    """

    prefix: str
    parts: Mapping[str, StoredObject]

    @property
    def name(self) -> str:
        """Return the prefix without the directory."""
        return self.prefix.rpartition("/")[2]

    @property
    def is_stray(self) -> bool:
        """Tell whether there is nothing but data, as where a file was renamed."""
        return all(DATA_FILE.match(part) for part in self.parts)


def find_checkpoints(survey: Survey, directory: str) -> tuple[Checkpoint, ...]:
    """Return the checkpoints in one directory, complete or not."""
    parts: dict[str, dict[str, StoredObject]] = {}
    files = survey.directories[directory]
    for name, stored in files.items():
        if name.startswith("._"):  # what a Mac notes beside every file
            continue
        for prefix, part in _split(name, survey.kind(stored), files):
            parts.setdefault(prefix, {})[part] = stored
    found = (Checkpoint(prefix=directory + prefix, parts=parts[prefix]) for prefix in parts)
    return tuple(checkpoint for checkpoint in found if _is_told(survey, checkpoint))


def variables_of(root: str, owned: Mapping[str, StoredObject]) -> Checkpoint:
    """Return the checkpoint in a SavedModel's ``variables/``; one without any parts if there is none."""
    stem = "variables/variables"
    parts = {name.removeprefix(stem): stored for name, stored in owned.items() if name.startswith(stem)}
    return Checkpoint(prefix=root + stem, parts=parts)


def file_faults(survey: Survey, checkpoint: Checkpoint) -> Iterator[JobError]:
    """Yield an error for every file that is there and is not what its name says."""
    for part, stored in checkpoint.parts.items():
        if part == ".meta":
            yield from survey.faults(stored, META_KINDS)
        elif part == ".index":
            yield from survey.faults(stored, (Kind.CHECKPOINT_INDEX,))
        elif DATA_FILE.match(part):
            if survey.kind(stored) in _STAND_INS:
                yield from survey.faults(stored, ())
        elif not _is_v2(checkpoint):
            yield from survey.faults(stored, (Kind.CHECKPOINT_V1,))


def missing_data(survey: Survey, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the names of absent files, without ``.meta``; for V2 its index says how many there should be."""
    parts = checkpoint.parts
    totals = [int(match[2]) for part in parts if (match := DATA_FILE.match(part) or _V1_SHARD.match(part))]
    if "" in parts and not _is_v2(checkpoint):
        expected: Sequence[str] = ()
    elif any(_V1_SHARD.match(part) for part in parts) and not _is_v2(checkpoint):
        expected = [f"-{shard:05}-of-{max(totals):05}" for shard in range(max(totals))]
    else:
        total = _shard_count(survey, checkpoint) or max(totals, default=1)
        expected = [".index", *(f".data-{shard:05}-of-{total:05}" for shard in range(total))]
    return tuple(checkpoint.name + part for part in expected if part not in parts)


def incomplete(survey: Survey, checkpoint: Checkpoint, missing: Sequence[str], strays: Sequence[str]) -> BadInput:
    """Return the error that names what is missing and, in `strays`, what lies there under another name."""
    verb = "is" if len(missing) == 1 else "are"
    beside = f"; {shown(strays, _NAMES_SHOWN)} may be a renamed part of it" if strays else ""
    return Incomplete(
        f"the checkpoint is incomplete: {shown(missing, _NAMES_SHOWN)} {verb} missing{beside}",
        where=survey.where(checkpoint.prefix),
        remedy="give it the name that is missing"
        if strays
        else "copy all of its files, under the names that they were saved with",
    )


def _split(name: str, kind: Kind, files: Mapping[str, StoredObject]) -> Iterator[tuple[str, str]]:
    """Yield the prefix and the part of a checkpoint's file; nothing for any other file."""
    if part := _PART.fullmatch(name):
        yield part[1], part[2]
    elif (shard := re.fullmatch(rf"(.+)({_V1_SHARD.pattern})", name)) and (
        kind is Kind.CHECKPOINT_V1 or f"{shard[1]}.meta" in files
    ):
        yield shard[1], shard[2]
    elif kind is Kind.CHECKPOINT_V1 or (f"{name}.meta" in files and kind in (Kind.UNKNOWN, Kind.EMPTY, *_STAND_INS)):
        yield name, ""


def _is_told(survey: Survey, checkpoint: Checkpoint) -> bool:
    """Tell checkpoints from other files that end with ``.meta`` or ``.index``."""
    kinds = {part: survey.kind(stored) for part, stored in checkpoint.parts.items()}
    return (
        any(DATA_FILE.match(part) for part in kinds)
        or kinds.keys() >= {".meta", ".index"}
        or kinds.get(".meta") in META_KINDS
        or kinds.get(".index") is Kind.CHECKPOINT_INDEX
        or Kind.CHECKPOINT_V1 in kinds.values()
    )


def _is_v2(checkpoint: Checkpoint) -> bool:
    return any(part == ".index" or DATA_FILE.match(part) for part in checkpoint.parts)


def _shard_count(survey: Survey, checkpoint: Checkpoint) -> int:
    index = checkpoint.parts.get(".index")
    look = survey.looks.get(index.key) if index else None
    return look.shard_count if isinstance(look, Content) else 0
