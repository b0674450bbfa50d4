"""What ``verify`` says of a destination, as plain data."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was found at `place`, a committed attempt, or a commit or pointer that leads nowhere."""

    artifact: str
    place: str
    files: int = 0
    size_bytes: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a destination came to when it was hashed again, commit by commit."""

    commits: tuple[Verified, ...]

    @property
    def is_whole(self) -> bool:
        """Tell whether every byte is as its commit says."""
        return not any(commit.problems for commit in self.commits)
