from job.engine.graph import Edge, Graph
from job.engine.pruning import cut_at, needed_by, prune, subgraph
from tests.engine.test_graph import DIAMOND, graph_def


def test_cut_tensors_are_left_out_with_all_behind_them() -> None:
    """A graph that is cut at a tensor names it as an input and does not hold its node."""
    graph = Graph(DIAMOND)
    pruned = prune(graph, {Edge("left", 0)}, ["sum"])
    assert [node.name for node in pruned.node] == ["noise", "right", "sum"]
    assert list(pruned.node[2].input) == ["left", "right"]


def test_needed_nodes_include_the_cut() -> None:
    """What outputs need is told with the node of a cut tensor and without what that one needs."""
    assert needed_by(Graph(DIAMOND), {Edge("right", 0)}, ["sum:0"]) == {"sum", "left", "x", "right"}


def test_control_inputs_from_outside_are_dropped() -> None:
    """A kept node waits for nothing that is left out, and the original keeps its inputs."""
    graph = Graph(DIAMOND)
    kept = subgraph(graph, {"left", "right"})
    assert list(kept.node[1].input) == ["left:1"]
    assert graph.controls("right") == ["noise"]


def test_control_inputs_from_inside_stay() -> None:
    """A kept node still waits for a kept node."""
    assert list(subgraph(Graph(DIAMOND), {"noise", "right"}).node[1].input) == ["left:1", "^noise"]


def test_inputs_and_switches_are_cut() -> None:
    """A signature's graph begins at its inputs and at the switches that are bound."""
    assert cut_at(["x", "y:1"], {"is_training:0": False}) == {Edge("x", 0), Edge("y", 1), Edge("is_training", 0)}


def test_library_and_versions_are_kept() -> None:
    """Functions that they call, and the producer's version, go with the nodes: kernels behave by them."""
    graph = Graph(graph_def(("x", "f", [])))
    graph.graph_def.versions.producer = 134
    graph.graph_def.library.function.add().signature.name = "f"
    kept = subgraph(graph, {"x"})
    assert kept.versions.producer == 134
    assert [function.signature.name for function in kept.library.function] == ["f"]
