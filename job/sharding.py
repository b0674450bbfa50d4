"""Which artifacts are mine, when a batch engine runs several of us."""

import hashlib
from collections.abc import Iterable

from job.records import Artifact


def share_of(artifacts: Iterable[Artifact], *, index: int, count: int) -> tuple[Artifact, ...]:
    """Return the artifacts of share `index` of `count`, in their order; none where `index` is not below `count`.

    The name alone decides, by its SHA-256: every artifact is in exactly one share, and stays in it
    when others come or go. Shares are therefore equal only on average, and some may be empty.
    """
    return tuple(artifact for artifact in artifacts if _share(artifact.name, count) == index)


def _share(name: str, count: int) -> int:
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest, "big") % count
