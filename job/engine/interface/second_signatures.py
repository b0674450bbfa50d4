"""Second signatures, for callers who hold parsed features or decoded data instead of serialized examples or files.

`<key>_parsed` begins behind ``ParseExample``, `<key>_decoded` behind ``DecodeJpeg`` and its like. What
they compute from there on is the original signature's own graph.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from tensorflow.python.framework import op_def_registry

from job.engine.graph import Edge, Graph, edge_of
from job.engine.interface.contexts import Contexts
from job.engine.interface.parsing import PARSERS, parsed_features
from job.engine.pruning import computed_by, cut_at, needed_by
from job.engine.samples.encoded import DECODERS
from job.engine.shapes import dtype_of, plain_shape, shape_of, specs_of
from job.errors import JobError
from job.records import Finding, Signature, TensorSpec

PREDICT: Final = "tensorflow/serving/predict"
"""A second signature's method: classify and regress are for serialized examples by definition."""

MOST_CUTS: Final = 300
"""How many tensors behind a decoder are tried; a loop over the images has a hundred nodes."""

Arguments = dict[str, Edge]
Bound = Mapping[str, object]


class _Impossible(Exception):
    """Why a second signature cannot be made."""


def second_signatures(
    graph: Graph, signatures: tuple[Signature, ...], bound: Bound, unproven: Iterable[str] = ()
) -> tuple[tuple[Signature, ...], tuple[Finding, ...]]:
    """Return a second signature for each one behind whose string input features are parsed or data is decoded.

    One that cannot be made, or is among the keys `unproven`, costs nothing but a finding.
    """
    made, findings = list[Signature](), list[Finding]()
    for signature in signatures:
        start = signature
        for suffix, cut in (("parsed", _behind_parsers), ("decoded", _behind_decoders)):
            key = _unused(f"{signature.key}_{suffix}", [one.key for one in (*signatures, *made)])
            try:
                found = _behind(graph, start, bound, cut(graph, start, bound))
            except _Impossible as reason:
                findings.append(_left_out(key, str(reason)))
                continue
            if found is not None and key in unproven:
                findings.append(_left_out(key, "it did not pass its parity"))
            elif found is not None:
                start = replace(found, key=key, beside=signature.key)
                made.append(start)
                findings.append(_added(start, signature))
    return tuple(made), tuple(findings)


def _behind(graph: Graph, start: Signature, bound: Bound, cut: Arguments) -> Signature | None:
    """Return the signature that takes `cut` and those of the inputs that are still needed; `None` for no cut."""
    if not cut:
        return None
    rest = _still_needed(graph, start, bound, cut.values())
    taken = [spec.key for spec in rest]
    tensors = {_unused(argument, taken): edge.tensor for argument, edge in cut.items()}
    try:
        _, specs = specs_of(graph, {spec.key: spec.tensor for spec in start.inputs}, tensors, bound)
    except JobError as error:
        raise _Impossible(str(error)) from error
    return replace(start, inputs=(*rest, *(_with_recorded_shape(graph, spec) for spec in specs)), method=PREDICT)


def _with_recorded_shape(graph: Graph, spec: TensorSpec) -> TensorSpec:
    """A loop hides the shapes that come out of it, and the export may have written them down."""
    recorded = plain_shape(shape_of(graph, edge_of(spec.tensor)))
    return replace(spec, shape=recorded) if spec.shape is None else spec


def _behind_parsers(graph: Graph, start: Signature, bound: Bound) -> Arguments:
    """Return the parsed tensors that the signature uses; all parts of a feature of which it uses one."""
    parsers, needed = _computed(graph, start, bound, PARSERS), computed_by(graph, start, bound)
    found: Arguments = {}
    for parser in parsers:
        used = {Edge(parser, output) for who, _, output in graph.consumers(parser) if who in needed}
        used |= {edge_of(spec.tensor) for spec in start.outputs}
        try:
            features = parsed_features(graph, parser)
        except KeyError as error:
            raise _Impossible(f"the feature names of {parser} are computed") from error
        for parts in features.values():
            if used & {edge for _, edge in parts}:
                found |= {_unused(argument, found): edge for argument, edge in parts}
    _check_cut(graph, start, bound, found.values(), parsers)
    return found


def _behind_decoders(graph: Graph, start: Signature, bound: Bound) -> Arguments:
    """Return what the decoders make; where they run in a loop or a branch, the first tensor behind it."""
    decoders, needed = _computed(graph, start, bound, DECODERS), computed_by(graph, start, bound)
    if not decoders:
        return {}
    made = {Edge(one, output) for one in decoders for who, _, output in graph.consumers(one) if who in needed}
    try:
        _check_cut(graph, start, bound, made, decoders)
    except _Impossible as reason:
        return _behind_all(graph, start, bound, decoders, reason)
    found: Arguments = {}
    for edge in sorted(made):
        found[_unused(_output_name(graph, edge), found)] = edge
    return found


def _behind_all(graph: Graph, start: Signature, bound: Bound, decoders: list[str], reason: _Impossible) -> Arguments:
    """Return the first tensor through which everything passes that the decoders make."""
    needed, upstream = computed_by(graph, start, bound), _upstream(graph, start, bound, decoders)
    contexts, outputs = Contexts(graph), [graph.source_of(edge_of(spec.tensor)) for spec in start.outputs]
    for edge in _downstream(graph, decoders, needed)[:MOST_CUTS]:
        if contexts.of(edge.node) or not _is_data(graph, edge) or set(outputs) == {graph.source_of(edge)}:
            continue
        rest = {spec.tensor for spec in _still_needed(graph, start, bound, [edge])}
        if not rest & {spec.tensor for spec in upstream}:
            return {"decoded": edge}
    raise reason


def _downstream(graph: Graph, starts: list[str], needed: set[str]) -> list[Edge]:
    """Return the needed tensors behind nodes, nearest first."""
    found, queue = dict[Edge, None](), list(starts)
    for name in queue:
        for who, _, output in graph.consumers(name):
            if who in needed:
                found[Edge(name, output)] = None
                if who not in queue:
                    queue.append(who)
    return list(found)


def _is_data(graph: Graph, edge: Edge) -> bool:
    """Whether a tensor is all that its node makes, of numbers, and not the order of a ``TensorArray``'s accesses."""
    consumers = graph.consumers(edge.node)
    if any(graph.nodes[who].op.startswith("TensorArray") or output != edge.output for who, _, output in consumers):
        return False
    dtype = dtype_of(graph, edge)
    return bool(dtype.is_floating or dtype.is_integer)


def _check_cut(graph: Graph, start: Signature, bound: Bound, cut: Iterable[Edge], behind: list[str]) -> None:
    """Raise `_Impossible` where the cut would not stand for what was cut off."""
    contexts = Contexts(graph)
    inside = next((name for name in behind if contexts.of(name)), "")
    if inside:
        raise _Impossible(f"{inside} runs in a loop or a branch")
    upstream = {spec.tensor for spec in _upstream(graph, start, bound, behind)}
    both = [spec.tensor for spec in _still_needed(graph, start, bound, cut) if spec.tensor in upstream]
    if both:
        raise _Impossible(f"{both[0]} is used otherwise as well")


def _computed(graph: Graph, start: Signature, bound: Bound, ops: tuple[str, ...]) -> list[str]:
    """Return the nodes of some ops that a signature runs on what it is given, in the graph's order."""
    computed = computed_by(graph, start, bound)
    found = [node.name for node in graph.of_type(*ops) if node.name in computed]
    return [name for name in found if _upstream(graph, start, bound, [name])]


def _upstream(graph: Graph, start: Signature, bound: Bound, names: Iterable[str]) -> list[TensorSpec]:
    """Return the string inputs that nodes take their bytes from."""
    begin = {edge.node for edge in cut_at((spec.tensor for spec in start.inputs), bound)}
    reading = graph.ancestors(names, stop=begin) - begin
    return [spec for spec in start.inputs if spec.dtype == "string" and _is_read(graph, spec, reading)]


def _still_needed(graph: Graph, start: Signature, bound: Bound, cut: Iterable[Edge]) -> list[TensorSpec]:
    """Return the inputs but those that `cut` makes needless."""
    before = computed_by(graph, start, bound)
    given = {*cut_at((spec.tensor for spec in start.inputs), bound), *cut}
    outputs = {edge_of(spec.tensor).tensor for spec in start.outputs}
    after = needed_by(graph, given, outputs) - {edge.node for edge in given}
    return [
        spec
        for spec in start.inputs
        if spec.tensor in outputs or _is_read(graph, spec, after) or not _is_read(graph, spec, before)
    ]


def _is_read(graph: Graph, spec: TensorSpec, nodes: set[str]) -> bool:
    edge = edge_of(spec.tensor)
    return any(who in nodes and output == edge.output for who, _, output in graph.consumers(edge.node))


def _output_name(graph: Graph, edge: Edge) -> str:
    """Return what the op's definition calls an output: ``image``, ``audio``, ``sample_rate``."""
    return str(op_def_registry.get(graph.nodes[edge.node].op).output_arg[edge.output].name)


def _unused(name: str, taken: Iterable[str]) -> str:
    taken, count, found = set(taken), 1, name
    while found in taken:
        found, count = f"{name}_{count}", count + 1
    return found


def _added(made: Signature, signature: Signature) -> Finding:
    inputs = ", ".join(spec.key for spec in made.inputs)
    return Finding(
        code="second_signature",
        cause=f"{made.key} was added: it answers as {signature.key} does "
        f"and takes {inputs}, at {_places(made, signature)}",
        remedy=f"call {signature.key} as before; {made.key} saves who holds those from serializing them",
    )


def _places(made: Signature, signature: Signature) -> str:
    given = {spec.tensor for spec in signature.inputs}
    return ", ".join(dict.fromkeys(edge_of(spec.tensor).node for spec in made.inputs if spec.tensor not in given))


def _left_out(key: str, reason: str) -> Finding:
    return Finding(
        code="second_signature_left_out",
        cause=f"no signature {key} could be added: {reason}",
        remedy="the original signature is as it was; to begin elsewhere, name `inputs` and `outputs` in the manifest",
    )
