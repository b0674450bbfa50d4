"""``latest.json``: the pointer that a server or a person follows from an artifact's name to its model.

It names the commit that was made, or met, by the attempt that began last: going back to an older source
and running again leads back to the older model, while a slow attempt that began before does not undo what
a later one has published. It is the one key that is ever replaced, and only if it is as it was read.
"""

import time
from dataclasses import dataclass
from typing import Final

import structlog

from job import codec
from job.errors import DestinationConflict, JobError, StorageError
from job.layout import COMMIT, LATEST, home_of, place_of
from job.records import Commit
from job.storage.base import Storage

log = structlog.get_logger()

_TRIES: Final = 6  # each fails only because another writer has succeeded
_CLOCKS_APART_S: Final = 900  # S3 refuses requests from machines whose clocks are further off


@dataclass(frozen=True, kw_only=True)
class Latest:
    """What is in the pointer; both paths are relative to it. `began_s` is when the attempt began that set it."""

    plan: str
    attempt: str
    commit: str
    saved_model: str
    artifact: str = ""
    began_s: float = 0.0


def point_latest(dest: Storage, commit: Commit, *, began_s: float) -> None:
    """Let the pointer name `commit`, unless an attempt that began later than `began_s` has set it.

    Also for one that was met, as its writer may have died before this. The commit stands whatever happens here: a
    failure is a warning, and the next run's to mend.
    """
    try:
        _point(dest, f"{commit.artifact}/{LATEST}", pointer_to(commit, began_s=began_s))
    except JobError as error:
        log.warning("latest_not_pointed", reason=str(error), consequence="it names what it named before")


def pointer_to(commit: Commit, *, began_s: float) -> Latest:
    """Return the pointer that leads to a commit."""
    place = place_of(commit).removeprefix(f"{commit.artifact}/")
    return Latest(
        artifact=commit.artifact,
        plan=commit.plan,
        attempt=commit.attempt,
        commit=f"{home_of(commit.artifact, commit.plan).removeprefix(f'{commit.artifact}/')}/{COMMIT}",
        saved_model=f"{place}/saved_model",
        began_s=began_s,
    )


def _point(dest: Storage, key: str, latest: Latest) -> None:
    document = codec.document(latest)
    for _ in range(_TRIES):
        if dest.create(key, document):
            return
        found = dest.read(key)
        if _stands(found, latest) or dest.swap(key, found, document):
            return
    raise StorageError("others keep moving the pointer", where=f"{dest.uri}/{key}", remedy="run again")


def _stands(text: bytes, latest: Latest) -> bool:
    """Tell whether what the pointer says must stay; what is no pointer, or claims to be of tomorrow, need not."""
    try:
        found = codec.loads(text, Latest)
    except ValueError:
        return False
    if found.artifact not in ("", latest.artifact):
        raise DestinationConflict(
            f"the destination does not tell {latest.artifact} from {found.artifact}, whose pointer stays",
            remedy=f"rename one of them; {latest.commit} is the commit",
        )
    return latest.began_s <= found.began_s < time.time() + _CLOCKS_APART_S
