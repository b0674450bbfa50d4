"""What lies under a source: every object by its directory, and the first bytes of those that may be models."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import PurePosixPath
from typing import Final

from job.content import HEAD_BYTES, MEANINGS, Content, Kind, sniff
from job.errors import BadInput, JobError, Refused
from job.naming import name_of
from job.records import StoredObject
from job.storage.base import Storage

SAVED_MODEL_FILES: Final = ("saved_model.pb", "saved_model.pbtxt")
"""The names that make a directory a SavedModel; the first is read where both are there."""

COMPANION_FILES: Final = frozenset({"tfhub_module.pb", "keras_metadata.pb", "fingerprint.pb"})
"""What exporters write beside ``saved_model.pb``."""

_OWN_DIRECTORIES: Final = frozenset({"variables", "assets", "assets.extra"})

_OTHER_SUFFIX: Final = re.compile(
    r"""\. (
        avi | bmp | flac | gif | ico | jpe?g | mp[34] | pdf | png | svg | tiff? | wav | webp      # media
        | c | cc | cpp | css | go | h | hpp | ipynb | java | js | proto | py | pyc | rb | rs | sh | ts    # code
        | cfg | csv | ini | jsonl? | labels | lock | log | md | rst | toml | tsv | txt | vocab | ya?ml    # text
        | feather | np[yz] | parquet | record | sql | tfrecords?      # data
    )""",
    re.VERBOSE | re.IGNORECASE,
)
"""Suffixes of files that are not even looked into: nobody names a model so, and there may be a million of them."""

DATA_FILE: Final = re.compile(r"\.data-(\d{5})-of-(\d{5})")
"""A data file of a checkpoint, which only the checkpoint's index can tell from noise."""

TEXT_SUFFIXES: Final = (".txt", ".vocab", ".labels", ".tsv", ".csv", ".json")
_TEXT_BYTES: Final = 64 * 2**20

_POINTER_BYTES: Final = 1024  # a checkpoint's data file below this size may be a Git LFS pointer or an error page
_READERS: Final = 16  # each waits for the store most of its time: more gain nothing where 100,000 are read
_WAITING: Final = 2000


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A source's objects; a directory's key ends with ``/`` and is empty for the source itself.

    `owned` holds, for each SavedModel's directory, what lies in its ``variables/``, ``assets/``
    and ``assets.extra/``; `directories` all the rest. `looks` says what the files are that were
    read, or why one could not be. `under` is the name of the archive that all this lies in, empty for none.
    """

    uri: str
    under: str = ""
    directories: Mapping[str, Mapping[str, StoredObject]]
    owned: Mapping[str, Mapping[str, StoredObject]]
    looks: Mapping[str, Content | JobError]

    def kind(self, stored: StoredObject) -> Kind:
        """Return what a file is; `Kind.UNKNOWN` if it was not read."""
        look = self.looks.get(stored.key)
        return look.kind if isinstance(look, Content) else Kind.UNKNOWN

    def name(self, entry: str) -> str:
        """Return the name of the artifact with this entry."""
        if not self.under:
            return name_of(entry, self.uri)
        return f"{self.under}/{name_of(entry, '')}" if entry else self.under

    def where(self, key: str) -> str:
        """Return the place of a key for a message."""
        return f"{self.uri.rstrip('/')}/{key}"

    def faults(self, stored: StoredObject, kinds: Iterable[Kind]) -> Iterator[JobError]:
        """Yield what is wrong with a file that should be of one of these kinds; nothing if it was not read."""
        look = self.looks.get(stored.key)
        if isinstance(look, JobError):
            yield look
        elif look is not None and look.kind not in kinds:
            meaning, remedy = MEANINGS[look.kind]
            yield BadInput(
                f"{PurePosixPath(stored.key).name} is {meaning}", where=self.where(stored.key), remedy=remedy
            )
        elif look is not None and look.damage:
            what = f"{MEANINGS[look.kind][0]} that cannot be read: {look.damage}"
            yield BadInput(what, where=self.where(stored.key), remedy=MEANINGS[Kind.UNKNOWN][1])


def is_text(stored: StoredObject) -> bool:
    """Tell by its name whether a file may be a vocabulary or the like."""
    return stored.key.lower().endswith(TEXT_SUFFIXES) and stored.size_bytes <= _TEXT_BYTES


def take_survey(storage: Storage, under: str = "", *, most: int | None = None) -> Survey:
    """List a store and read the heads of what may be a model; raises what `storage` raises for the whole of it.

    Of a store with more than `most` objects the rest is not looked at.
    """
    listed: dict[str, dict[str, StoredObject]] = {}
    for stored in islice(storage.list(), most):
        directory, slash, name = stored.key.rpartition("/")
        if name or stored.size_bytes:  # else it marks a directory
            listed.setdefault(directory + slash, {})[name] = stored
    roots = frozenset(_roots(listed))
    directories: dict[str, Mapping[str, StoredObject]] = {}
    owned: dict[str, dict[str, StoredObject]] = {root: {} for root in roots}
    for directory, files in listed.items():
        owner = _owner(directory, roots)
        if owner is None:
            directories[directory] = files
        else:
            owned[owner].update({directory.removeprefix(owner) + name: stored for name, stored in files.items()})
    candidates = [*_candidates(directories.values()), *_variables(owned.values())]
    looks = dict(_looks(storage, candidates))
    return Survey(uri=storage.uri, under=under, directories=directories, owned=owned, looks=looks)


def _roots(listed: Mapping[str, Mapping[str, StoredObject]]) -> Iterator[str]:
    """Yield the directories of SavedModels, those included that have lost their ``saved_model.pb``."""
    for directory, files in listed.items():
        if any(name in files for name in SAVED_MODEL_FILES):
            yield directory
        has_weights = any(name.startswith(("variables.index", "variables.data-")) for name in files)
        if has_weights and "variables.meta" not in files and f"/{directory}".endswith("/variables/"):
            yield directory.removesuffix("variables/")


def _owner(directory: str, roots: frozenset[str]) -> str | None:
    """Return the outermost SavedModel in whose own directories `directory` lies, if there is one."""
    above = ""
    for part in directory.split("/")[:-1]:
        if part in _OWN_DIRECTORIES and above in roots:
            return above
        above += f"{part}/"
    return None


def _candidates(directories: Iterable[Mapping[str, StoredObject]]) -> Iterator[StoredObject]:
    for files in directories:
        for name, stored in files.items():
            is_shard = DATA_FILE.search(name) is not None
            if stored.size_bytes <= _POINTER_BYTES if is_shard else not why_not_read(name):
                yield stored


def _variables(owned: Iterable[Mapping[str, StoredObject]]) -> Iterator[StoredObject]:
    for files in owned:
        for name, stored in files.items():
            small = stored.size_bytes <= _POINTER_BYTES and name.startswith("variables/variables.data-")
            if small or name == "variables/variables.index":
                yield stored


def why_not_read(name: str) -> str:
    """Return why a file of this name is not looked into; empty if it is."""
    suffix = name[name.rfind(".") :] if "." in name else ""
    if _OTHER_SUFFIX.fullmatch(suffix):
        return f"{suffix} files hold no models"
    if name == "checkpoint" or name in COMPANION_FILES:
        return "it belongs to a model that is not here"
    if name == "pipeline.config":
        return "it says how a detection model was trained"
    if name.startswith("._"):
        return "a Mac's notes about a file"
    return "it holds summaries of a training run" if name.startswith("events.out.tfevents.") else ""


def _looks(storage: Storage, candidates: Sequence[StoredObject]) -> Iterator[tuple[str, Content | JobError]]:
    """Read heads, many at a time; what waits for its turn takes memory too, so that a few thousand do at most."""
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(candidates), _WAITING):
            some = candidates[start : start + _WAITING]
            yield from zip((one.key for one in some), pool.map(partial(_look, storage), some), strict=True)


def _look(storage: Storage, stored: StoredObject) -> Content | JobError:
    try:
        head = storage.read(stored.key, limit_bytes=HEAD_BYTES) if stored.size_bytes else b""
    except (BadInput, Refused) as error:  # a fault of this file alone
        return error
    return sniff(head, stored.size_bytes)
