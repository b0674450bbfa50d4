"""How nodes may be called, and how they may name what they take."""

import re
from typing import Any, Final

from job.errors import BadInput

_NODE: Final = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
"""What TensorFlow takes for a node's name (``IsValidNodeName`` in its graph/validate)."""

MAX_OUTPUT: Final = 2**20
"""The last output that an edge may name: no op has so many, and TensorFlow crashes on what no int32 holds."""

_DAMAGED: Final = "the file is damaged or edited; export the graph again"


def check_names(node: Any, whose: str, where: str) -> None:
    """Raise `BadInput` for a node that TensorFlow would not take by its name, or by the names of its inputs."""
    if not _NODE.fullmatch(node.name):
        raise BadInput(f"{node.name!r} is no name for a node of {whose}", where=where, remedy=_DAMAGED)
    for text in node.input:
        index = text.rpartition(":")[2] if ":" in text else "0"
        if not text or (index.isdecimal() and (len(index) > 9 or int(index) > MAX_OUTPUT)):
            raise BadInput(
                f"node {node.name} of {whose} takes {text!r}, which there is not", where=where, remedy=_DAMAGED
            )
