"""What lies at a destination, sorted by what it is: one listing, and the commits in it."""

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from job.commits import PARALLEL, Damaged, commit_at
from job.layout import COMMIT, LATEST, home_of, may_be_commit, place_in
from job.naming import matches
from job.records import Commit, StoredObject
from job.storage.base import Storage


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Commits by the directory of their plan, attempts by their own, committed or not, and pointers by artifact."""

    commits: dict[str, Commit | Damaged]
    attempts: dict[str, list[StoredObject]]
    pointers: dict[str, StoredObject]

    @property
    def unpointed(self) -> list[str]:
        """The artifacts that a commit is there of, and no pointer: its writer may have died between the two."""
        return sorted({artifact_of(home) for home in self.commits} - self.pointers.keys())

    def may_list(self, place: str) -> bool:
        """Tell whether a commit lists the attempt at `place`; one that cannot be read may."""
        home, _, attempt = place.rpartition("/")
        commit = self.commits.get(home)
        return isinstance(commit, Damaged) or (commit is not None and commit.attempt == attempt)


def take_inventory(dest: Storage, only: str = "*") -> Inventory:
    """Look through a destination, or the artifacts whose names match `only`; what is nothing of ours is left out."""
    objects = list(dest.list())
    commits = _commits(dest, [key for stored in objects if may_be_commit(key := stored.key)], only)
    attempts, pointers = defaultdict[str, list[StoredObject]](list), dict[str, StoredObject]()
    for stored in objects:
        above, _, name = stored.key.rpartition("/")
        place = place_in(stored.key, commits)
        if place and matches(place.rpartition("/")[0].rpartition("/")[0], only):
            attempts[place].append(stored)
        elif not place and name == LATEST and matches(above, only):
            pointers[above] = stored
    return Inventory(commits=commits, attempts=dict(attempts), pointers=pointers)


def _commits(dest: Storage, keys: Iterable[str], only: str) -> dict[str, Commit | Damaged]:
    homes = [home for key in keys if matches(artifact_of(home := key.removesuffix(f"/{COMMIT}")), only)]
    with ThreadPoolExecutor(PARALLEL) as pool:
        found = dict(zip(homes, pool.map(partial(commit_at, dest), homes), strict=True))
    return {home: commit for home, commit in found.items() if _is_one(home, commit)}


def _is_one(home: str, commit: Commit | Damaged) -> bool:
    """Tell a commit from a model's asset that has such a name: in an attempt only what names its own place is one.

    No asset can: the attempt's name is drawn after it was written.
    """
    if not place_in(f"{home}/{COMMIT}"):
        return True
    return isinstance(commit, Commit) and f"/{home_of(commit.artifact, commit.plan)}".endswith(f"/{home}")


def artifact_of(home: str) -> str:
    """Return the artifact's name, as seen from the destination that is looked through."""
    return home.rpartition("/")[0]
