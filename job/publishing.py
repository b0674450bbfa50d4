"""The commit protocol: a reader sees a whole result or none, whoever dies and however many write.

Files go up below a name that no other attempt has, and ``commit.json`` after them; `job.layout` says where.
Readers trust that alone. Nothing is overwritten but the pointer, and a damaged commit where ``--repair`` asks
for it; nothing is deleted but the files of one's own attempt after another's was committed. What a writer that
died has left is in no commit and in nobody's way until ``gc`` removes it.

In a store that overwrites whatever is asked, the last of two commits wins. Both are whole, as each lists the files of
its own attempt, which are never deleted there: a request that was given up may still arrive.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG
from typing import Literal

from job import codec
from job.commits import PARALLEL, Absent, Damaged, examine, find_commit, lacks
from job.errors import JobError, Poison, StorageError
from job.latest import point_latest
from job.layout import COMMIT, MODEL_FILE, REPORT_FILES, failed_place, home_of, place_of
from job.plan import versions
from job.records import ArtifactReport, Commit, ParitySummary, PublishedFile
from job.results import ParityResult
from job.storage.base import Storage
from job.storage.files import digest_of
from job.wording import shown

__all__ = ["find_commit", "guarantee", "place_of", "point_latest", "publish", "publish_failure"]


@dataclass(frozen=True, kw_only=True)
class PublishOutcome:
    """Which commit stands: ours, or that of another attempt at the same plan which came first."""

    outcome: Literal["committed", "lost_race"]
    commit: Commit


def guarantee(dest: Storage) -> dict[str, str]:
    """Return what a report says about how its destination keeps two writers apart."""
    is_strong = dest.supports_create_only()
    return {"publishing": "create-only commits" if is_strong else "weak: of two commits the last one wins"}


def publish(  # noqa: PLR0913 - each is the caller's to say
    dest: Storage,
    report: ArtifactReport,
    *,
    attempt: str,
    directory: Path,
    began_s: float,
    allowed_ops: tuple[str, ...] = (),
    repair: bool = False,
) -> PublishOutcome:
    """Publish all files below `directory` as one `attempt`, a name that nobody else uses, which began at `began_s`.

    Raises `DestinationConflict` if an earlier commit is damaged and shall not be repaired, and what the store raises.
    """
    commit = Commit(
        artifact=report.artifact.name,
        plan=report.plan,
        attempt=attempt,
        files=_files_below(directory),
        verdict=report.parity.verdict if report.parity else "not_run",
        versions=versions(),
        sources=report.sources,
        parity=tuple(_summaries(report)),
        allowed_ops=allowed_ops,
        sandbox=report.environment.get("sandbox", ""),
    )
    _upload(dest, directory, commit)
    standing = _commit(dest, commit, repair=repair)
    point_latest(dest, standing, began_s=began_s)
    if standing.attempt == attempt:
        return PublishOutcome(outcome="committed", commit=standing)
    _discard(dest, commit)
    return PublishOutcome(outcome="lost_race", commit=standing)


def publish_failure(dest: Storage, *, artifact: str, plan: str, attempt: str, directory: Path) -> str:
    """Store the reports below `directory`, and no model; return their place below the destination.

    `plan` is empty for an artifact that failed before its plan was known.
    """
    place = failed_place(artifact, plan, attempt)
    for name in REPORT_FILES:
        if (directory / name).is_file():
            dest.upload(directory / name, f"{place}/{name}")
    return place


def _commit(dest: Storage, commit: Commit, *, repair: bool) -> Commit:
    """Commit, and return the commit that stands: another may have come first."""
    try:
        if _is_stored(dest, commit, repair=repair):
            return commit
    except StorageError:
        # Only the response may be lost: then the commit stands, and names our attempt.
        found = examine(dest, commit.artifact, commit.plan)
        if not isinstance(found, Commit):
            raise
        return found
    found = examine(dest, commit.artifact, commit.plan)
    if isinstance(found, Damaged):
        raise found.conflict()
    if isinstance(found, Absent):
        where = f"{dest.uri}/{home_of(commit.artifact, commit.plan)}/{COMMIT}"
        raise StorageError("the commit vanished", where=where, remedy="try again")
    return found


def _is_stored(dest: Storage, commit: Commit, *, repair: bool) -> bool:
    """Store the commit where there is none or, to repair it, a damaged one; False may be of a repeated request."""
    key, document = f"{home_of(commit.artifact, commit.plan)}/{COMMIT}", codec.document(commit)
    if dest.create(key, document):
        return True
    found = examine(dest, commit.artifact, commit.plan, rehash=True) if repair else Absent()
    return isinstance(found, Damaged) and not found.is_anothers and dest.swap(key, found.text, document)


def _upload(dest: Storage, directory: Path, commit: Commit) -> None:
    home = place_of(commit)
    paths = [file.path for file in commit.files]
    models = [path for path in paths if Path(path).name == MODEL_FILE]

    def upload(path: str) -> None:
        dest.upload(directory / path, f"{home}/{path}")

    _in_parallel(upload, (path for path in paths if path not in models))
    _in_parallel(upload, models)
    objects = {stored.key: stored for stored in dest.list(f"{home}/")}
    if lost := [file.path for file in commit.files if lacks(file, home, objects)]:
        where, remedy = f"{dest.uri}/{home}", "try again"
        raise StorageError(f"uploaded files are missing or cut: {shown(lost, 3)}", where=where, remedy=remedy)


def _in_parallel(upload: Callable[[str], None], paths: Iterable[str]) -> None:
    with ThreadPoolExecutor(PARALLEL) as pool:
        uploads = [pool.submit(upload, path) for path in paths]
        try:
            for finished in uploads:
                finished.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _discard(dest: Storage, commit: Commit) -> None:
    """Delete the files of an attempt that no commit can list any more; what cannot be deleted harms nobody."""
    with suppress(JobError):
        if dest.supports_create_only():
            for file in commit.files:
                dest.delete(f"{place_of(commit)}/{file.path}")


def _files_below(directory: Path) -> tuple[PublishedFile, ...]:
    paths = sorted(path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir())
    if strange := [path.name for path in paths if not S_ISREG(path.lstat().st_mode)]:
        what = f"what was made holds links or devices, which are not followed: {shown(strange, 3)}"
        raise Poison(what, remedy="a worker left them: see log.jsonl, and run with --sandbox require")
    digests = (digest_of(path, path.relative_to(directory).as_posix()) for path in paths)
    return tuple(
        PublishedFile(path=digest.key, size_bytes=digest.size_bytes, sha256=digest.sha256) for digest in digests
    )


def _summaries(report: ArtifactReport) -> Iterator[ParitySummary]:
    yield from (_summary(parity) for parity in (report.parity, report.as_run) if parity)
    for variant in report.tuning.variants if report.tuning else ():
        if variant.verdict == "published":
            yield from (replace(_summary(parity), variant=variant.name) for parity in variant.parity)


def _summary(parity: ParityResult) -> ParitySummary:
    errors = [output.relative for output in parity.outputs if output.relative is not None]
    return ParitySummary(
        mode=parity.mode,
        verdict=parity.verdict,
        outputs=len(parity.outputs),
        relative=max(errors, default=None),
        tolerance=max((output.tolerance for output in parity.outputs), default=None),
    )
