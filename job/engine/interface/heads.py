"""What an Estimator's head predicts, under the names that its exports use."""

import re
from typing import Final

from job.engine.graph import Edge, Graph, edge_of
from job.engine.shapes import dtype_of
from job.records import Signature

PREDICTIONS: Final = re.compile(r"^((?:.*/)?head)/predictions/(probabilities|class_ids)$")

LOSS_OR_PREDICTIONS: Final = re.compile(r"^(?:.*/)?head/(losses|loss|weighted_loss|labels|predictions)/")


def head_outputs(graph: Graph, signature: Signature) -> dict[str, str]:
    """Return tensors by the keys of Estimators' predictions (canned/prediction_keys.py); else the signature's own."""
    own = {spec.key: spec.tensor for spec in signature.outputs}
    scopes = {found[1] for found in map(PREDICTIONS.match, graph.nodes) if found}
    if len(scopes) > 1:
        return own
    if scopes:
        return _classes(graph, f"{scopes.pop()}/predictions") or own
    return {"predictions": next(iter(own.values()))} if _is_regression(graph) and len(own) == 1 else own


def _is_regression(graph: Graph) -> bool:
    """Whether a head has a loss and predicts its logits as they are: a link function would have its ops here."""
    scopes = {found[1] for found in map(LOSS_OR_PREDICTIONS.match, graph.nodes) if found}
    return bool(scopes) and "predictions" not in scopes


def _classes(graph: Graph, scope: str) -> dict[str, str]:
    """Return what a classifier's head predicts; nothing where it is not built as Estimators build it."""
    probabilities, logistic, ids = (f"{scope}/{name}" for name in ("probabilities", "logistic", "class_ids"))
    if {probabilities, ids} - graph.nodes.keys():
        return {}
    has_two = logistic in graph.nodes
    found = {"probabilities": Edge(probabilities, 0), "logits": graph.inputs(logistic if has_two else probabilities)[0]}
    if has_two:
        found["logistic"] = Edge(logistic, 0)
    for name in [who for who, _, _ in graph.consumers(ids) if graph.nodes[who].op == "ExpandDims"][:1]:
        found["class_ids"] = Edge(name, 0)
        for who in _named_by(graph, name, scope):
            found["classes"] = Edge(who, 0)
    for node in graph.of_type("Tile"):
        if node.name.startswith(f"{scope}/"):
            key = "all_classes" if dtype_of(graph, edge_of(node.name)).name == "string" else "all_class_ids"
            found[key] = Edge(node.name, 0)
    return {key: edge.tensor for key, edge in found.items()}


def _named_by(graph: Graph, ids: str, scope: str) -> list[str]:
    """Return what turns class numbers into names."""
    users = (who for who, _, _ in graph.consumers(ids) if who.startswith(f"{scope}/"))
    return [who for who in users if graph.nodes[who].op in ("AsString", "LookupTableFind", "LookupTableFindV2")]
