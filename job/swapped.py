"""Source and destination the wrong way round, or a source that holds results: told before anything is written."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from job.discovery import discover
from job.errors import JobError, NoInput, UsageError
from job.layout import COMMIT, may_be_commit, place_in
from job.nearest import is_question
from job.nothing_found import NothingFits
from job.records import Artifact, Listing
from job.storage.base import Storage

_SWAP: Final = "TF1 models lie at the destination: swap --source and --dest"
_LOOKED_AT: Final = 5_000  # of a destination's objects, for a remedy: a bucket of millions is not listed for it


@contextmanager
def asking_dest(dest: Storage) -> Iterator[None]:
    """Where a source has no models and the destination has some, let the `NoInput` say so.

    A name that is like another one is misspelt, be the models that it means below the destination.
    """
    try:
        yield
    except NothingFits:
        raise
    except NoInput as error:
        if not is_question(error.remedy) and _holds_models(dest):
            raise NoInput(error.what, where=error.where, remedy=_SWAP) from error
        raise


def check_no_results(listing: Listing, source: Storage, dest: Storage) -> None:
    """Raise `UsageError` where all models of a source are what a run has published there."""
    if listing.artifacts and not _unpublished(listing):
        remedy = _SWAP if _holds_models(dest) else "name what it was made from"
        raise UsageError("the source holds what tf1lift has published, TF2 already", where=source.uri, remedy=remedy)


def _holds_models(dest: Storage) -> bool:
    try:
        return bool(_unpublished(discover(dest, only="*", most=_LOOKED_AT)))
    except JobError:  # nothing there, or nothing that we may see
        return False


def _unpublished(listing: Listing) -> Sequence[Artifact]:
    """Return the artifacts that do not lie where a commit says that a run has put them."""
    keys = (one.key for one in listing.left_alone)
    homes = {key.removesuffix(f"/{COMMIT}") for key in keys if may_be_commit(key)}
    return [one for one in listing.artifacts if not place_in(f"{one.entry}/", homes)]
