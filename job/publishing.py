"""The commit protocol: a reader sees a whole result or none, whoever dies and however many write.

    <dest>/<artifact>/<plan>/<attempt>/…           saved_model/, report.html, report.json, log.jsonl
    <dest>/<artifact>/<plan>/commit.json           create-only, last; lists every file of one attempt
    <dest>/<artifact>/latest.json                  points to the commit that was last made or met
    <dest>/_failed/<artifact>/<plan>/<attempt>/…   the report of what was not published

Readers trust ``commit.json`` alone. Nothing is overwritten but the pointer, and nothing is deleted
but the files of one's own attempt after another's was committed. What a writer that died has left
is in no commit, and in nobody's way.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from job import codec
from job.errors import DestinationConflict, JobError, StorageError
from job.records import Commit, PublishedFile
from job.storage.base import Storage
from job.storage.files import digest_of
from job.wording import shown

_MODEL_FILE: Final = "saved_model.pb"  # a directory is a SavedModel from when this is there
_REPORT_FILES: Final = ("report.json", "report.html", "log.jsonl")
_PLAN_CHARACTERS: Final = 12  # of the plan's 64, in paths
_PARALLEL_UPLOADS: Final = 8


@dataclass(frozen=True, kw_only=True)
class Absent:
    """Nothing is committed for this plan."""


@dataclass(frozen=True, kw_only=True)
class PublishOutcome:
    """Which commit stands: ours, or that of another attempt at the same plan which came first."""

    outcome: Literal["committed", "lost_race"]
    commit: Commit


@dataclass(frozen=True, kw_only=True)
class Latest:
    """``latest.json``; both paths are relative to it."""

    plan: str
    attempt: str
    commit: str
    saved_model: str


def find_commit(dest: Storage, artifact: str, plan: str) -> Commit | Absent:
    """Return what is committed for `plan`.

    Raises `DestinationConflict` if the commit cannot be read or files that it lists are missing.
    """
    home = _home(artifact, plan)
    sizes = _sizes_below(dest, home)
    if "commit.json" not in sizes:
        return Absent()
    where = f"{dest.uri}/{home}/commit.json"
    remedy = "remove that commit.json to have the artifact published anew"
    try:
        commit = codec.loads(dest.read(f"{home}/commit.json"), Commit)
    except ValueError as error:
        raise DestinationConflict(f"the commit is damaged: {error}", where=where, remedy=remedy) from error
    if commit.plan != plan:
        raise DestinationConflict(f"the commit is of another plan, {commit.plan}", where=where, remedy=remedy)
    if damaged := _damaged(commit, sizes):
        raise DestinationConflict(
            f"published files are missing or cut: {shown(damaged, 3)}", where=where, remedy=remedy
        )
    return commit


def publish(  # noqa: PLR0913 - all of it goes into the commit
    dest: Storage,
    *,
    artifact: str,
    plan: str,
    attempt: str,
    directory: Path,
    verdict: str,
    versions: Mapping[str, str],
) -> PublishOutcome:
    """Publish all files below `directory` as one `attempt` (a name that nobody else uses) at `plan`.

    Raises `DestinationConflict` if an earlier commit is damaged, and what the store raises.
    """
    commit = Commit(
        artifact=artifact,
        plan=plan,
        attempt=attempt,
        files=_files_below(directory),
        verdict=verdict,
        versions=dict(versions),
    )
    _upload(dest, directory, commit)
    standing = _commit(dest, commit)
    point_latest(dest, standing)
    if standing.attempt == attempt:
        return PublishOutcome(outcome="committed", commit=standing)
    _discard(dest, commit)
    return PublishOutcome(outcome="lost_race", commit=standing)


def point_latest(dest: Storage, commit: Commit) -> None:
    """Let ``latest.json`` name `commit`; also for one that was met, as its writer may have died before this."""
    plan = commit.plan[:_PLAN_CHARACTERS]
    latest = Latest(
        plan=commit.plan,
        attempt=commit.attempt,
        commit=f"{plan}/commit.json",
        saved_model=f"{plan}/{commit.attempt}/saved_model",
    )
    dest.replace(f"{commit.artifact}/latest.json", _document(latest))


def publish_failure(dest: Storage, *, artifact: str, plan: str, attempt: str, directory: Path) -> str:
    """Store the reports below `directory`, and no model; return their place below the destination.

    `plan` is empty for an artifact that failed before its plan was known.
    """
    place = f"_failed/{_home(artifact, plan or 'unplanned')}/{attempt}"
    for name in _REPORT_FILES:
        if (directory / name).is_file():
            dest.upload(directory / name, f"{place}/{name}")
    return place


def _commit(dest: Storage, commit: Commit) -> Commit:
    """Commit, and return the commit that stands: another may have come first."""
    key = f"{_home(commit.artifact, commit.plan)}/commit.json"
    try:
        if dest.create(key, _document(commit)):
            return commit
    except StorageError:
        # Only the response may be lost: then the commit stands, and names our attempt.
        found = find_commit(dest, commit.artifact, commit.plan)
        if isinstance(found, Absent):
            raise
        return found
    found = find_commit(dest, commit.artifact, commit.plan)
    if isinstance(found, Absent):
        raise StorageError("the commit vanished", where=f"{dest.uri}/{key}", remedy="try again")
    return found


def _upload(dest: Storage, directory: Path, commit: Commit) -> None:
    home = place_of(commit)
    paths = [file.path for file in commit.files]
    models = [path for path in paths if Path(path).name == _MODEL_FILE]

    def upload(path: str) -> None:
        dest.upload(directory / path, f"{home}/{path}")

    _in_parallel(upload, (path for path in paths if path not in models))
    _in_parallel(upload, models)
    if damaged := _damaged(commit, _sizes_below(dest, _home(commit.artifact, commit.plan))):
        where, remedy = f"{dest.uri}/{home}", "try again"
        raise StorageError(f"uploaded files are missing or cut: {shown(damaged, 3)}", where=where, remedy=remedy)


def _in_parallel(upload: Callable[[str], None], paths: Iterable[str]) -> None:
    with ThreadPoolExecutor(_PARALLEL_UPLOADS) as pool:
        uploads = [pool.submit(upload, path) for path in paths]
        try:
            for finished in uploads:
                finished.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _discard(dest: Storage, commit: Commit) -> None:
    """Delete the files of an attempt that is in no commit; one that cannot be deleted harms nobody."""
    for file in commit.files:
        with suppress(JobError):
            dest.delete(f"{place_of(commit)}/{file.path}")


def _files_below(directory: Path) -> tuple[PublishedFile, ...]:
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    digests = (digest_of(path, path.relative_to(directory).as_posix()) for path in paths)
    return tuple(
        PublishedFile(path=digest.key, size_bytes=digest.size_bytes, sha256=digest.sha256) for digest in digests
    )


def _sizes_below(dest: Storage, home: str) -> dict[str, int]:
    return {stored.key.removeprefix(f"{home}/"): stored.size_bytes for stored in dest.list(f"{home}/")}


def _damaged(commit: Commit, sizes: Mapping[str, int]) -> list[str]:
    return [file.path for file in commit.files if sizes.get(f"{commit.attempt}/{file.path}") != file.size_bytes]


def _home(artifact: str, plan: str) -> str:
    return f"{artifact}/{plan[:_PLAN_CHARACTERS]}"


def place_of(commit: Commit) -> str:
    """Return the directory of the commit's files, below the destination."""
    return f"{_home(commit.artifact, commit.plan)}/{commit.attempt}"


def _document(record: object) -> bytes:
    return (codec.dumps(record, indent=2) + "\n").encode()
