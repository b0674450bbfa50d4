"""What ``ParseExample`` and its like return: which tensor holds which feature."""

from typing import Any, Final

import numpy as np

from job.engine.graph import Edge, Graph, attribute

PARSERS: Final = ("ParseExample", "ParseExampleV2", "ParseSingleExample")

SPARSE_PARTS: Final = ("indices", "values", "dense_shape")
RAGGED_PARTS: Final = ("values", "row_splits")


def feature_keys(graph: Graph, parser: str, kind: str) -> list[str]:
    """Return the names of a parser's ``sparse``, ``dense`` or ``ragged`` features, in the order of its outputs.

    They are inputs of ``ParseExample``, vectors in its V2 and attributes of ``ParseSingleExample``.
    Raises `KeyError` where the graph computes them.
    """
    node, inputs = graph.nodes[parser], graph.inputs(parser)
    if node.op == "ParseSingleExample":
        keys = attribute(node, f"{kind}_keys")  # asking the node itself would give it an attribute that it has not
        return [key.decode() for key in keys.list.s] if keys else []
    if node.op == "ParseExampleV2":
        return [_text(key) for key in np.ravel(graph.const(inputs[2 + ("sparse", "dense", "ragged").index(kind)]))]
    sparse, dense = node.attr["Nsparse"].i, node.attr["Ndense"].i
    start, count = {"sparse": (2, sparse), "dense": (2 + sparse, dense), "ragged": (0, 0)}[kind]
    return [_text(graph.const(edge).item()) for edge in inputs[start : start + count]]


def parsed_features(graph: Graph, parser: str) -> dict[str, list[tuple[str, Edge]]]:
    """Return (argument name, tensor) of every feature, by feature; several where it is sparse or ragged.

    A dense feature goes by its own name, a sparse one by ``<feature>_indices``, ``_values`` and
    ``_dense_shape``, as TensorFlow calls them in signatures.
    """
    found: dict[str, list[tuple[str, Edge]]] = {}
    sparse, dense, ragged = (feature_keys(graph, parser, kind) for kind in ("sparse", "dense", "ragged"))
    for position, key in enumerate(dense):
        found[key] = [(key, Edge(parser, 3 * len(sparse) + position))]
    for position, key in enumerate(sparse):
        found[key] = _parts(parser, key, SPARSE_PARTS, position, len(sparse))
    for position, key in enumerate(ragged):
        start = 3 * len(sparse) + len(dense) + position
        found[key] = _parts(parser, key, RAGGED_PARTS, start, len(ragged))
    return found


def _parts(parser: str, key: str, parts: tuple[str, ...], start: int, step: int) -> list[tuple[str, Edge]]:
    return [(f"{key}_{part}", Edge(parser, start + step * number)) for number, part in enumerate(parts)]


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)
