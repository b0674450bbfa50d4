from tensorflow.core.framework import graph_pb2

from job.engine.graph import Graph
from job.engine.pruning import subgraph
from job.engine.reaching import reachable, reached_library


def calling() -> graph_pb2.GraphDef:
    """Return a graph that calls `outer`, which calls `inner`; `gradient` is inner's, and nothing calls `stray`."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="y", op="PartitionedCall").attr["f"].func.name = "outer"
    for name, op in (("outer", "inner"), ("inner", "Neg"), ("gradient", "Neg"), ("stray", "WriteFile")):
        function = graph_def.library.function.add()
        function.signature.name = name
        function.node_def.add(name=f"in_{name}", op=op)
    graph_def.library.gradient.add(function_name="inner", gradient_func="gradient")
    graph_def.library.gradient.add(function_name="stray", gradient_func="gradient")
    graph_def.library.registered_gradients.add(gradient_func="stray", registered_op_type="Neg")
    return graph_def


def test_every_function_comes_once_with_who_calls_it() -> None:
    """Functions of functions and their gradients are there, under the name of the node that begins it all."""
    found = sorted((caller, node.name) for caller, node in reachable(Graph(calling()), ["y"]))
    assert found == [("y", "in_gradient"), ("y", "in_inner"), ("y", "in_outer"), ("y", "y")]


def test_library_of_a_part_holds_what_it_can_run() -> None:
    """What nothing calls is given to nobody: neither the function nor what the file registers for it."""
    library = subgraph(Graph(calling()), {"y"}).library
    assert [function.signature.name for function in library.function] == ["outer", "inner", "gradient"]
    assert [pair.function_name for pair in library.gradient] == ["inner"]
    assert list(library.registered_gradients) == []
    assert list(reached_library([], calling().library).function) == []
