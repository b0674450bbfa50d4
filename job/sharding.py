"""Which artifacts are mine, when a batch engine runs several of us.

All shares see the same listing, more or less: one that begins later may see artifacts that have come meanwhile.
If these moved others from share to share, one that moves from a later share to an earlier one would be taken by
nobody. So artifacts are dealt out by age: **an artifact's share depends on older ones alone, and what comes
later moves nothing.** Each goes to a share that its name picks by hashing, unless that one would hold more than a
tenth above the mean so far; then to the next that its name picks (consistent hashing with bounded loads:
Mirrokni, Thorup and Zadimoghaddam, https://arxiv.org/abs/1608.01350), at last to the one that holds least.
What its name picks stays mostly the same where older ones go or are overwritten; the few that this moves between
the beginnings of two shares may be taken twice, which is harmless, or by none, which the next run makes good.
`tests/test_sharding.py` measures both.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

from job.records import Artifact

_SLACK: Final = 0.1  # how far above the mean a share may be before its artifacts go to others
_OVERHEAD_BYTES: Final = 32 * 2**20  # an empty artifact takes about as long as this much more of a large one


def share_of(artifacts: Iterable[Artifact], *, index: int, count: int) -> tuple[Artifact, ...]:
    """Return the artifacts of share `index` of `count`, in their order; none where `index` is not below `count`.

    Every artifact is in exactly one share, and in the same one on every machine. The largest share holds at most
    a tenth more than the mean, or the mean and one artifact.
    """
    artifacts = tuple(artifacts)
    shares = _deal(artifacts, count)
    return tuple(artifact for artifact in artifacts if shares[artifact.name] == index)


def _deal(artifacts: Iterable[Artifact], count: int) -> dict[str, int]:
    loads, total, shares = [0] * count, 0, dict[str, int]()
    for artifact in sorted(artifacts, key=_age):
        work = artifact.size_bytes + _OVERHEAD_BYTES
        total += work
        most = (1 + _SLACK) * total / count - work
        fitting = (share for share in _picks(artifact.name, count) if loads[share] <= most)
        share = next(fitting, loads.index(min(loads)))
        shares[artifact.name] = share
        loads[share] += work
    return shares


def _age(artifact: Artifact) -> tuple[float, str]:
    """Order artifacts by when they were complete; those of one moment by name."""
    return max((stored.modified_s for stored in artifact.objects), default=0.0), artifact.name


def _picks(name: str, count: int) -> Iterator[int]:
    """Yield the shares that a name picks, in order; some of them twice."""
    for attempt in range(count if count > 1 else 0):
        digest = hashlib.sha256(f"{attempt}/{name}".encode()).digest()
        yield int.from_bytes(digest, "big") % count
