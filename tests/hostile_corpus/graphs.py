"""Graphs that TensorFlow, or whoever reads them, crashes on, never ends with, or gives all memory to."""

from collections.abc import Callable
from typing import Final

from tests import hostile
from tests.hostile_corpus.case import Case, Outside, written
from tests.hostile_corpus.messages import field, number
from tests.hostile_corpus.text import (
    FLOAT,
    INPUT,
    VERSIONS,
    after,
    calling,
    constant,
    function,
    library,
    node,
    shape,
    text,
    whole,
)

BAD: Final = frozenset({40})
REFUSED: Final = frozenset({42})
POISON: Final = frozenset({47})

GIB: Final = 2**30


def recursion(*names: str) -> str:
    """Return functions that call each other in a ring."""
    following = [*names[1:], names[0]]
    ring = [function(one, node("call", other, "x"), "call:y:0") for one, other in zip(names, following, strict=True)]
    return library(*ring) + calling(names[0])


def by_attribute() -> str:
    """Return a function that calls itself by an attribute and not by its op."""
    types = {"Tin": f"list {{ {FLOAT} }}", "Tout": f"list {{ {FLOAT} }}"}
    call = node("call", "PartitionedCall", "x", f='func { name: "again" }', **types)
    return library(function("again", call, "call:output:0")) + calling("again")


def chain(length: int, calls: int = 1) -> str:
    """Return functions each of which calls the next so many times: the last is called ``calls ** length`` times."""
    functions = []
    for place in range(length):
        last = place + 1 == length
        op, attributes = ("Neg", {"T": FLOAT}) if last else (f"f{place + 1}", {})
        fed = ["x", *(f"call{one}:y:0" for one in range(calls - 1))]
        body = "".join(node(f"call{at}", op, one, **attributes) for at, one in enumerate(fed))
        functions.append(function(f"f{place}", body, f"call{calls - 1}:y:0"))
    return library(*functions) + calling("f0")


def held(dtype: str, values: str, *dims: int) -> str:
    """Return a model whose answer needs a constant."""
    return constant("held", dtype, values, dims) + after("held")


def filled(*dims: int) -> str:
    """Return a model whose answer needs a tensor that an op makes."""
    made = whole("dims", *dims, dims=[len(dims)]) + constant("one", "DT_FLOAT", "float_val: 1")
    return made + node("fill", "Fill", "dims", "one", T=FLOAT, index_type="type: DT_INT64") + after("fill")


def growing() -> str:
    """Return a loop of TF1 whose tensor doubles in every step."""
    body = node(
        "axis",
        "Const",
        "^merge",
        dtype="type: DT_INT32",
        value="tensor { dtype: DT_INT32 tensor_shape { } int_val: 0 }",
    )
    body += node("body", "ConcatV2", "switch:1", "switch:1", "axis", T=FLOAT, N="i: 2", Tidx="type: DT_INT32")
    start = hostile.ENDLESS_LOOP.index('node { name: "body"')
    end = hostile.ENDLESS_LOOP.index("node {", start + 1)
    return hostile.ENDLESS_LOOP[:start] + body + hostile.ENDLESS_LOOP[end:]


def endless_while() -> str:
    """Return ``tf.while_loop(lambda x: True, tf.negative, [x])`` of TF2."""
    types = {"T": f"list {{ {FLOAT} }}", "cond": 'func { name: "true" }', "body": 'func { name: "step" }'}
    step = function("step", node("negative", "Neg", "x", T=FLOAT), "negative:y:0")
    true = constant("one", "DT_BOOL", "bool_val: true").replace("node {", "node_def {")
    test = (
        "function { signature { name: 'true' input_arg { name: 'x' type: DT_FLOAT } "
        f"output_arg {{ name: 'y' type: DT_BOOL }} }} {true} ret {{ key: 'y' value: 'one:output:0' }} }}\n"
    )
    return library(step, test) + INPUT + node("y", "StatelessWhile", "x", **types) + VERSIONS


def many_nodes(count: int) -> bytes:
    """Return a binary graph of so many nodes that do nothing."""
    nothing = (field(1, field(1, f"n{at}".encode()) + field(2, b"NoOp")) for at in range(count))
    return b"".join(nothing)


def deep_message(depth: int) -> bytes:
    """Return a binary graph whose node holds a function's name within a function's name, and so on."""
    value = b""
    for _ in range(depth):  # AttrValue.func.attr["a"] = AttrValue …
        value = field(10, field(1, b"f") + field(2, field(1, b"a") + field(2, value)))
    return field(1, field(1, b"n") + field(2, b"NoOp") + field(5, field(1, b"a") + field(2, value)))


def deep_text(depth: int) -> str:
    """Return the same as text."""
    opened = 'func { name: "f" attr { key: "a" value { ' * depth
    return f'node {{ name: "n" op: "NoOp" attr {{ key: "a" value {{ {opened} {"} } } " * depth} }} }} }}'


def saved_model_of(count: int) -> bytes:
    """Return a SavedModel with so many MetaGraphs."""
    meta = field(1, field(4, b"serve")) + field(2, field(1, field(1, b"n") + field(2, b"NoOp")))
    return number(1, 1) + field(2, meta) * count


_CYCLE: Final = (
    INPUT + node("a", "AddV2", "x", "b", T=FLOAT) + node("b", "Neg", "a", T=FLOAT) + node("y", "Neg", "b", T=FLOAT)
)
_IN_FUNCTION: Final = library(
    function("ring", node("a", "AddV2", "x", "b:y:0", T=FLOAT) + node("b", "Neg", "a:z:0", T=FLOAT), "b:y:0")
) + calling("ring")
_PLACEHOLDER: Final = (
    'node { name: "x" op: "Placeholder" attr { key: "dtype" value { %s } } '
    'attr { key: "shape" value { shape { %s } } } }'
)
_OUTPUT: Final = node("y", "Neg", "x", T=FLOAT)

_FRAMES: Final[dict[str, tuple[str, frozenset[int], str | bytes | Callable[[Outside], str]]]] = {
    "recursion": ("overflows the stack", BAD, hostile.RECURSION),
    "recursion_of_three": ("overflows the stack", BAD, recursion("a", "b", "c")),
    "recursion_by_attribute": ("overflows the stack", BAD, by_attribute()),
    "deep_calls": ("overflows the stack without recursion", REFUSED, chain(1000)),
    "billion_laughs": ("becomes 2 ** 40 nodes", REFUSED, chain(40, calls=2)),
    "cycle": ("waits for itself", BAD, _CYCLE),
    "cycle_in_function": ("waits for itself", BAD, _IN_FUNCTION),
    "two_nodes_of_one_name": ("takes one node for another", BAD, hostile.SIMPLE + _OUTPUT),
    "dangling_input": ("reads what is not there", BAD, INPUT + node("y", "Neg", "gone", T=FLOAT)),
    "unknown_op": ("runs what no TensorFlow has", BAD, hostile.UNKNOWN_OP),
    "endless_loop": ("never ends", POISON, hostile.ENDLESS_LOOP),
    "endless_while": ("never ends", POISON, endless_while()),
    "growing_loop": ("takes all memory", POISON, growing()),
    "constant_of_4_tb": ("takes all memory", REFUSED, held("DT_FLOAT", "float_val: 1", 2**20, 2**20)),
    "constant_of_8_gb": ("takes all memory", REFUSED, held("DT_FLOAT", "float_val: 1", 2**31)),
    "constant_that_overflows": ("wraps a size round", BAD, held("DT_FLOAT", "float_val: 1", 2**40, 2**40)),
    "constant_with_negative_size": ("wraps a size round", BAD, held("DT_FLOAT", "float_val: 1", -3, 5)),
    "constant_of_rank_300": ("aborts", BAD, held("DT_FLOAT", "float_val: 1", *[1] * 300)),
    "constant_of_no_type": ("aborts", BAD, held("999", "float_val: 1")),
    "constant_with_other_bytes": ("reads beyond its bytes", BAD, held("DT_FLOAT", 'tensor_content: "abcd"', 100)),
    "strings_of_25_gb": ("takes all memory", REFUSED, held("DT_STRING", 'string_val: "a"', GIB)),
    "variant_constant": (
        "decodes what it names",
        REFUSED,
        held("DT_VARIANT", 'variant_val { type_name: "tensorflow::Dataset" }'),
    ),
    "resource_constant": (
        "uses a pointer of its own",
        REFUSED,
        held("DT_RESOURCE", 'resource_handle_val { name: "a" hash_code: 1 }'),
    ),
    "fill_that_overflows": ("aborts", BAD, filled(2**40, 2**40)),
    "fill_of_8_gb": ("takes all memory", REFUSED, filled(2**31)),
    "fill_of_negative_size": ("aborts", BAD, filled(-1, 4)),
    "shape_that_overflows": ("wraps a size round", BAD, _PLACEHOLDER % (FLOAT, shape(2**40, 2**40)) + _OUTPUT),
    "shape_of_rank_300": ("aborts", BAD, _PLACEHOLDER % (FLOAT, shape(*[1] * 300)) + _OUTPUT),
    "input_of_no_type": ("aborts", BAD, _PLACEHOLDER % ("type: 999", "") + _OUTPUT),
    "future_version": (
        "is read by rules of another TensorFlow",
        BAD,
        hostile.SIMPLE + "versions { producer: 99999 min_consumer: 99999 }",
    ),
    "remote_device": (
        "runs elsewhere",
        frozenset({0, 40}),
        INPUT
        + 'node { name: "y" op: "Neg" input: "x" device: "/job:worker/task:7" '
        + 'attr { key: "T" value { type: DT_FLOAT } } }',
    ),
    "python_in_a_name": (
        "is run as code",
        frozenset({0, 40}),
        INPUT + node("__import__('os').abort()", "Neg", "x", T=FLOAT),
    ),
    "name_of_a_path": (
        "is written to a path",
        frozenset({0, 40}),
        INPUT + node("../../../tmp/escaped", "Neg", "x", T=FLOAT),
    ),
    "text_in_deep_braces": ("overflows the parser's stack", BAD, deep_text(20_000)),
    "text_deeper_than_binary": ("cannot be written again", BAD, deep_text(60)),
    "half_a_text": ("is read as if whole", BAD, hostile.SIMPLE[:-8]),
    "secret_in_a_string": ("prints control characters", frozenset({0, 40}), text("s", "\x1b]0;owned\x07") + after("s")),
}

_BINARY: Final[dict[str, tuple[str, frozenset[int], str, bytes]]] = {
    "empty": ("is read as an empty graph", BAD, "graph.pb", b""),
    "html": ("is read as a graph", BAD, "graph.pb", b"<!DOCTYPE html><html><body>404</body></html>"),
    "cut": ("is read as if whole", BAD, "graph.pb", many_nodes(50)[:-3]),
    "too_many_nodes": ("takes all time", REFUSED, "graph.pb", many_nodes(500_001)),
    "deep_message": ("overflows the parser's stack", BAD, "graph.pb", deep_message(20_000)),
    "thousand_meta_graphs": ("takes all time", REFUSED, "saved_model.pb", saved_model_of(1000)),
}

CASES: Final = (
    *(
        Case(name=name, tries=tries, codes=codes, write=written("graph.pbtxt", graph))
        for name, (tries, codes, graph) in _FRAMES.items()
    ),
    *(
        Case(name=name, tries=tries, codes=codes, write=written(file, data))
        for name, (tries, codes, file, data) in _BINARY.items()
    ),
)
