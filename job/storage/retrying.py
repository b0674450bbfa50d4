"""What a job spends on trying again, across all its threads and stores, and what it has met."""

import random
import time
from collections import Counter
from threading import Lock
from typing import Final

_CAPACITY: Final = 500  # tokens, as in botocore's own buckets, of which each client has one
_COST: Final = 5  # of a retry; a good answer earns as much, so that a store may fail half of the time
_MAX_PAUSE_S: Final = 20.0
_FIRST_PAUSE_S: Final = 0.1


class RetryBudget:
    """Tokens for retries: a store that fails all the time is given up soon, and not by each request for itself."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._lock, self._capacity, self._tokens = Lock(), capacity, capacity
        self._met: Counter[str] = Counter()

    def spend(self, fault: str) -> bool:
        """Note a fault (``throttled``, ``failed``, ``broken`` …); return whether the request may be tried again."""
        with self._lock:
            self._met[fault] += 1
            may = self._tokens >= _COST
            self._tokens -= _COST if may else 0
        return may

    def earn(self) -> None:
        """Note a good answer."""
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + _COST)

    def told(self) -> str:
        """Return how often each fault was met, for a message; empty where none was."""
        with self._lock:
            return ", ".join(f"{count} {fault}" for fault, count in sorted(self._met.items()))


def pause(attempt: int) -> None:
    """Wait for a random time that grows with the attempts, so that those who failed together do not return together."""
    longest_s = min(_MAX_PAUSE_S, _FIRST_PAUSE_S * 2**attempt)
    time.sleep(random.uniform(0, longest_s))  # noqa: S311 - it spreads retries and keeps no secret


JOB: Final = RetryBudget()
"""The one budget of this process."""
