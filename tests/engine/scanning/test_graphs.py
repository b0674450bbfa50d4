import time
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from job.engine.formats.base import parse
from job.engine.scanning import functions, graphs
from job.engine.scanning.graphs import check_graph, check_proto
from job.errors import BadInput, JobError, Refused
from tests import hostile
from tests.hostile_corpus import graphs as corpus
from tests.hostile_corpus import text
from tests.hostile_corpus.case import Case, Outside
from tests.jobs import GOLDENS

OUTSIDE = Outside(directory=Path("/nowhere"), port=9)
STRUCTURAL = [
    case
    for case in corpus.CASES
    if case.codes in (corpus.BAD, corpus.REFUSED)
    and case.name not in ("dangling_input", "unknown_op", "html", "thousand_meta_graphs")
    and not case.name.startswith("fill_")
]


KINDS = {"saved_model": SavedModel, ".meta": MetaGraphDef, ".pb": graph_pb2.GraphDef, ".pbtxt": graph_pb2.GraphDef}
UNSOUND = ("truncated_frozen", "html_frozen", "git_lfs_pointer_frozen")
WRITTEN = [
    path
    for pattern in ("saved_model.pb*", "*.meta", "frozen.pb*")
    for path in sorted(GOLDENS.rglob(pattern))
    if path.parent.name not in UNSOUND
]


def graph_of(described: str) -> graph_pb2.GraphDef:
    """Read a graph written as text."""
    return text_format.Parse(described, graph_pb2.GraphDef())


def told(described: str, kind: type[JobError] = BadInput) -> str:
    """Check a graph that must not pass, and return what is said of it."""
    with pytest.raises(kind) as caught:
        check_graph(graph_of(described), "graph.pb")
    assert type(caught.value) is kind
    assert caught.value.where == "graph.pb"
    assert caught.value.remedy
    return caught.value.what


@pytest.mark.parametrize("case", STRUCTURAL, ids=lambda case: case.name)
def test_hostile_graph_never_reaches_tensorflow(case: Case, tmp_path: Path) -> None:
    """Whatever is parsed as a graph is looked at there and then, and ends with the code that is foreseen."""
    case.write(tmp_path, OUTSIDE)
    (path,) = tmp_path.iterdir()
    with pytest.raises(JobError) as caught:
        parse(path, graph_pb2.GraphDef())
    assert {caught.value.exit_code} == case.codes
    assert caught.value.where == path.name
    assert caught.value.remedy
    assert len(caught.value.what) < 300


def test_functions_that_call_themselves_are_named_in_order() -> None:
    """Recursion overflows TensorFlow's stack: the message says which function calls which."""
    assert told(hostile.RECURSION) == "functions call themselves: again calls again"
    assert told(corpus.recursion("a", "b", "c")) in {
        f"functions call themselves: {ring}"
        for ring in ("a calls b calls c calls a", "b calls c calls a calls b", "c calls a calls b calls c")
    }
    assert told(corpus.by_attribute()) == "functions call themselves: again calls again"


def test_gradient_that_calls_its_function_is_no_recursion() -> None:
    """That a function's gradient needs the function is how gradients are."""
    inner = text.function("f", text.node("n", "Neg", "x", T=text.FLOAT), "n:y:0")
    outer = text.function("g", text.node("n", "f", "x"), "n:y:0")
    gradient = 'gradient { function_name: "f" gradient_func: "g" } '
    check_graph(graph_of(text.library(inner, outer, gradient) + text.calling("g")), "")


def test_gradient_that_asks_for_itself_is_recursion() -> None:
    """TensorFlow would look for its end for ever: the library gives ``f`` the gradient ``g``, which asks for f's."""
    inner = text.function("f", text.node("n", "Neg", "x", T=text.FLOAT), "n:y:0")
    outer = text.function("g", text.node("n", "SymbolicGradient", "x", f='func { name: "f" }'), "n:output:0")
    gradient = 'gradient { function_name: "f" gradient_func: "g" } '
    assert told(text.library(inner, outer, gradient)) == "functions call themselves: g calls g"


def test_calls_may_be_as_deep_and_as_many_as_tensorflow_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is what is said, and one call more is too many; two calls of one function count twice."""
    monkeypatch.setattr(functions, "MAX_DEPTH", 5)
    check_graph(graph_of(corpus.chain(5)), "")
    assert told(corpus.chain(6), Refused) == "functions call each other 6 deep, up to f0; 5 are allowed"
    monkeypatch.setattr(functions, "MAX_INLINED", 2 + 2 + 4 + 8)
    check_graph(graph_of(corpus.chain(3, calls=2)), "")
    assert "nodes become 32 with" in told(corpus.chain(4, calls=2), Refused)


def test_loop_of_tf1_is_no_cycle() -> None:
    """The way back from NextIteration to Merge is how TF1 loops; any other way back is said by its nodes."""
    check_graph(graph_of(hostile.ENDLESS_LOOP), "")
    broken = hostile.ENDLESS_LOOP.replace('op: "NextIteration"', 'op: "Identity"')
    ring = told(broken).removeprefix("nodes of the graph need each other: ")
    assert {"switch", "body", "true", "cond"} <= set(ring.split(", "))


def test_control_inputs_make_cycles_too() -> None:
    """A node that waits for what waits for it never runs."""
    ring = text.INPUT + text.node("a", "Neg", "x", "^y", T=text.FLOAT) + text.node("y", "Neg", "a", T=text.FLOAT)
    assert "nodes of the graph need each other: " in told(ring)
    function = text.node("a", "Neg", "x", "^b", T=text.FLOAT) + text.node("b", "Neg", "a:y:0", T=text.FLOAT)
    assert "of the function f need each other" in told(text.library(text.function("f", function, "b:y:0")))


def test_names_are_unique_in_the_graph_and_in_each_function() -> None:
    """The message says where the name is twice; one name in two functions is fine."""
    node = text.node("n", "Neg", "x", T=text.FLOAT)
    assert told(text.INPUT + node + node) == "two nodes of the graph are named 'n'"
    twice = text.function("f", node + node, "n:y:0")
    assert told(text.library(twice)) == "two nodes of the function f are named 'n'"
    one, other = text.function("f", node, "n:y:0"), text.function("g", node, "n:y:0")
    check_graph(graph_of(text.library(one, other) + node), "")
    assert told(text.library(one, one)) == "two functions are named 'f'"


def test_nodes_of_functions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for the graph with its functions."""
    described = text.library(text.function("f", text.node("n", "Neg", "x", T=text.FLOAT), "n:y:0")) + text.calling("f")
    monkeypatch.setattr(graphs, "MAX_NODES", 3)
    check_graph(graph_of(described), "")
    monkeypatch.setattr(graphs, "MAX_NODES", 2)
    assert told(described, Refused) == "the graph has 3 nodes; 2 are allowed"


def test_constants_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may declare little enough; all of them must, too, in functions as in the graph."""
    monkeypatch.setattr(graphs, "MAX_GRAPH_BYTES", 800)
    held = text.constant("c", "DT_FLOAT", "float_val: 1", [100])
    inner = text.library(text.function("f", held, "c:output:0"))
    check_graph(graph_of(held + inner), "")
    more = held.replace('"c"', '"d"')
    assert told(held + more + inner, Refused) == "the graph's constants declare 1200 bytes; 800 are allowed"


def test_signatures_have_shapes_and_types_that_can_be() -> None:
    """What a signature says of a tensor is used before the graph is."""
    described = 'signature_def { key: "s" value { inputs { key: "a" value { name: "x:0" %s } } } }'
    for info, said in (
        ("dtype: 999", "is of the type 999"),
        ("dtype: DT_FLOAT tensor_shape { dim { size: -7 } }", "has a dimension of -7"),
    ):
        with pytest.raises(BadInput, match=f"a of the signature s {said}"):
            check_proto(text_format.Parse(described % info, MetaGraphDef()), "a.meta")


def test_attributes_of_functions_are_looked_at() -> None:
    """Those of a function and of its arguments are TensorFlow's to read as well as a node's."""
    shape = "attr { key: '_output_shapes' value { list { shape { dim { size: -7 } } } } }"
    body = text.function("f", text.node("n", "Neg", "x", T=text.FLOAT), "n:y:0")
    for given in (shape, f"arg_attr {{ key: 0 value {{ {shape} }} }}"):
        described = text.library(body.removesuffix("}\n") + given + "}\n")
        assert told(described) == "_output_shapes of the function f has a dimension of -7"


def test_old_and_absent_versions_are_read() -> None:
    """A graph that says no version at all is one of the oldest, or was made by a tool: TensorFlow takes both."""
    check_graph(graph_of(hostile.SIMPLE), "")
    check_graph(graph_of(hostile.SIMPLE + "versions { producer: 1 min_consumer: 12 }"), "")


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.parent.name)
def test_what_tensorflow_wrote_passes(path: Path) -> None:
    """No graph that TensorFlow 1.15 wrote is refused for its structure."""
    suffix = path.suffix if path.stem != "saved_model" else path.stem
    parse(path, KINDS[suffix]())


def test_time_is_linear_in_the_nodes() -> None:
    """100,000 nodes are looked at within some seconds, which is nothing beside what else they cost."""
    graph = graph_of(text.INPUT)
    for number in range(100_000):
        node = graph.node.add(name=f"n{number}", op="Neg", input=["x" if number == 0 else f"n{number - 1}"])
        node.attr["T"].type = 1
    start = time.process_time()
    check_graph(graph, "")
    assert time.process_time() - start < 10
