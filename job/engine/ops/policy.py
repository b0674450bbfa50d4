"""Which ops may run: those that somebody has looked at and let in, if this TensorFlow can run them.

`job.engine.ops.classes` lists every op of TensorFlow with its class. What is not in the list is denied, but for ops of
a user's own library (``--op-library``): the stateless ones of those may run, of the stateful ones those that the user
names with the library. ``--allow-op`` lets a denied op in.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tensorflow.python.framework import op_def_registry

from job.engine.graph import Graph, NodeDef, attribute
from job.engine.ops.allowable import PYTHON_OPS
from job.engine.ops.allowing import ALLOWED
from job.engine.ops.classes import CLASS_OF, UNDECIDED
from job.engine.ops.kernels import Device
from job.engine.ops.op_library import ADDED, NAMED
from job.engine.ops.runnable import check_runnable
from job.engine.reaching import reachable
from job.engine.ways import way_from_output
from job.errors import Refused
from job.wording import shown

FILE_OPS: Final = ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2")
"""They may read the vocabularies of the model, and no other file."""

STREAMS: Final = (b"stderr", b"stdout", b"log(info)", b"log(warning)", b"log(error)")
"""Where ``PrintV2`` may write: it knows files too."""


def check_ops(graph: Graph, needed: Iterable[str], *, vocabularies: Iterable[str] = (), device: Device = "any") -> None:
    """Refuse a graph whose needed part this job must not or cannot run.

    Looks into every function of the library that is reachable. `vocabularies` are the nodes that
    read a file of the model's own. Raises `Refused` (42) for ops that may not run and Python bodies,
    `BadInput` (40) that lists every op which this TensorFlow cannot run.
    """
    needed, reading = list(needed), [graph.nodes[name] for name in vocabularies]
    for caller, node in reachable(graph, needed):
        reason = why_denied(node)
        if reason and not any(node is one for one in reading):
            raise _refusal(node, reason, way_from_output(graph, needed, caller))
    check_runnable(graph, needed, device)


def _refusal(node: NodeDef, reason: str, way: list[str]) -> Refused:
    cut = "cut above it with `inputs` in the manifest"
    if node.op in PYTHON_OPS:
        remedy = f"export the model without py_func, or {cut}"
    elif node.op in ADDED:
        remedy = f"name it if you trust it: --op-library FILE@sha256:HEX+{node.op}"
    else:
        remedy = f"{cut}; --allow-op {node.op} lets it run, within the sandbox, if you trust the model"
    return Refused(f"op {node.op} (node {node.name}) {reason}, on the way to an output: {shown(way)}", remedy=remedy)


def why_denied(node: NodeDef) -> str:
    """Return why a node may not run, in words that follow its name; empty where it may.

    An op that is not registered is no matter of policy: it cannot run.
    """
    if node.op in ALLOWED or node.op in NAMED:
        return ""
    if node.op in CONDITIONS:
        return CONDITIONS[node.op](node)
    if node.op in CLASS_OF:
        return "" if CLASS_OF[node.op].runs == "always" else CLASS_OF[node.op].reason
    registered = op_def_registry.get(node.op)
    if node.op in ADDED:
        return "is a stateful one of your own library, and may do anything" if registered.is_stateful else ""
    return UNDECIDED.reason if registered is not None else ""


def _prints_elsewhere(node: NodeDef) -> str:
    return "" if attribute(node, "output_stream").s in STREAMS else "prints into a file"


def _reads_vocabulary(_: NodeDef) -> str:
    return "reads a file other than to fill the model's tables"


def _counts_in_a_file(node: NodeDef) -> str:
    file = attribute(node, "vocab_file")
    return "reads a file" if file.s or file.placeholder else ""


def _described_elsewhere(node: NodeDef) -> str:
    """``local://`` is what is linked into TensorFlow; whatever is neither that nor bytes is opened as a file."""
    source = attribute(node, "descriptor_source")
    is_known = source.s in (b"", b"local://") or source.s.startswith(b"bytes://")
    return "" if is_known and not source.placeholder else "reads a file"


CONDITIONS: Final[Mapping[str, Callable[[NodeDef], str]]] = {
    "PrintV2": _prints_elsewhere,
    **dict.fromkeys(FILE_OPS, _reads_vocabulary),
    "FixedUnigramCandidateSampler": _counts_in_a_file,
    "DecodeProtoV2": _described_elsewhere,
    "EncodeProto": _described_elsewhere,
}
"""Why a node of an op that may run sometimes may not; a placeholder, in a function, is filled in by its callers."""
