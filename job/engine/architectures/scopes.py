"""What stands before a network's own names in a checkpoint."""

import re
from collections import Counter
from typing import Final

from job.engine.architectures.inventory import Inventory

SCOPE: Final = r"(?P<scope>(?:.+/)?)"
"""What may stand before a scheme's own names: ``module/``, ``FeatureExtractor/``, ``tower_0/``, ``v0/cg/`` …"""


def scope_of(inventory: Inventory, pattern: str) -> str:
    """Return what stands before most names that match a pattern with the group ``scope``, empty where none does."""
    return around(inventory, pattern).get("scope", "")


def around(inventory: Inventory, pattern: str) -> dict[str, str]:
    """Return what the groups of a pattern are in most of the names that match it, nothing where none does."""
    found = Counter(
        tuple(match.groupdict().items()) for name in inventory.weights if (match := re.fullmatch(pattern, name))
    )
    return dict(found.most_common(1)[0][0]) if found else {}
