"""The signatures of a model: those it was exported with, what the user says, or the ranked guess."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.graph import Edge, Graph, edge_of
from job.engine.interface.guessing import (
    PIPELINE_ENDS,
    SHAPE_OPS,
    find_outputs,
    find_unasked,
    key_of,
    pipeline_inputs,
    starts_of,
    trains,
)
from job.engine.interface.losses import find_compared
from job.engine.interface.switches import PLACEHOLDERS
from job.engine.ops.policy import why_denied
from job.engine.pruning import cut_at, needed_by
from job.engine.shapes import specs_of
from job.errors import BadInput
from job.nearest import meant
from job.records import ArtifactOptions, Finding, Signature, TensorSpec

DEFAULT_KEY = "serving_default"
WITH_DEFAULTS_KEY = "serving_default_with_defaults"
MOST_NAMED = 5
INTERNAL_KEYS = ("__saved_model_init_op", "__saved_model_train_op")
SPARSE_PARTS = ("indices", "values", "dense_shape")

Found = tuple[tuple[Signature, ...], tuple[Finding, ...]]
Arguments = dict[str, str]
"""Argument name → tensor name."""


def read_signatures(
    meta_graph: meta_graph_pb2.MetaGraphDef,
    graph: Graph,
    bound: Mapping[str, object],
    options: ArtifactOptions,
) -> Found:
    """Return what the model can be asked, in the export's order, and how that was found out.

    Raises `BadInput` where nothing usable is left.
    """
    declared = {key: meta_graph.signature_def[key] for key in declared_keys(meta_graph, options)}
    if declared:
        return _declared(declared, graph, bound)
    signatures, findings = _guessed(graph, bound, options)
    return signatures, findings if options.outputs else (*findings, *_unasked(graph, bound, signatures))


def declared_keys(meta_graph: meta_graph_pb2.MetaGraphDef, options: ArtifactOptions) -> tuple[str, ...]:
    """Return the keys of the signatures to be kept; none where the user names outputs or the model has no signature.

    Raises `BadInput` where the user names one that the model does not have, or inputs without outputs.
    """
    declared = tuple(key for key in sorted(meta_graph.signature_def) if key not in INTERNAL_KEYS)
    if options.outputs or not declared:
        return ()
    if options.inputs:
        what = f"`inputs` are named without `outputs`, and the model has signatures: {', '.join(declared)}"
        raise BadInput(what, remedy="name `outputs` as well in the manifest, or neither")
    unknown = [key for key in options.signatures if key not in declared]
    if unknown:
        remedy = meant(unknown[0], declared, f"the model has: {', '.join(declared)}")
        raise BadInput(f"no signature {unknown[0]!r}", remedy=remedy)
    return options.signatures or declared


def _declared(declared: dict[str, meta_graph_pb2.SignatureDef], graph: Graph, bound: Mapping[str, object]) -> Found:
    return tuple(_exported(key, definition, graph, bound) for key, definition in declared.items()), ()


def _exported(
    key: str, definition: meta_graph_pb2.SignatureDef, graph: Graph, bound: Mapping[str, object]
) -> Signature:
    inputs, outputs = dict(_flat(definition.inputs)), dict(_flat(definition.outputs))
    for tensor in (*inputs.values(), *outputs.values()):
        if edge_of(tensor).node not in graph.nodes:
            raise BadInput(
                f"the signature names {tensor}, which is not in the graph",
                where=key,
                remedy="export the model again, or name `outputs` in the manifest",
            )
    return _signature(key, inputs, outputs, graph, bound, method=definition.method_name)


def _guessed(graph: Graph, bound: Mapping[str, object], options: ArtifactOptions) -> Found:
    for tensor in (*options.inputs.values(), *options.outputs.values()):
        _check_present(graph, tensor)
    fed = {_full(name) for name in options.inputs.values()}
    kept = {tensor: value for tensor, value in bound.items() if tensor not in fed}
    if options.outputs:
        signature = _with_outputs(graph, options.outputs, options.inputs, kept)
    else:
        signature = _with_outputs(graph, _keyed(find_outputs(graph, bound)), options.inputs, kept)
        batched = {spec.key: spec.tensor for spec in signature.outputs if spec.shape != ()}
        if signature.inputs and not batched and trains(graph):
            batched = _keyed(find_compared(graph, (spec.tensor for spec in signature.outputs), starts_of(graph, bound)))
        scalars = len([spec for spec in signature.outputs if spec.shape == ()])
        if signature.inputs and batched and scalars:  # the scalars are losses or metrics
            signature = _with_outputs(graph, batched, options.inputs, kept)
    if options.inputs:
        return (signature,), () if options.outputs else (_guess_finding(signature),)
    optional = _optional(graph, signature)
    if not optional:
        return (signature,), (_guess_finding(signature),)
    shorter = _without(graph, signature, optional, kept)
    return (signature, shorter), (_guess_finding(signature), _default_finding(optional))


def _with_outputs(graph: Graph, outputs: Arguments, inputs: Arguments, bound: Mapping[str, object]) -> Signature:
    inputs = inputs or _keyed(_inputs_of(graph, outputs.values(), bound))
    inputs, outputs = ({key: _full(name) for key, name in names.items()} for names in (inputs, outputs))
    return _signature(DEFAULT_KEY, inputs, outputs, graph, bound)


def _guess_finding(signature: Signature) -> Finding:
    inputs, outputs = (", ".join(spec.tensor for spec in specs) for specs in (signature.inputs, signature.outputs))
    return Finding(
        code="interface_guessed",
        cause=f"the graph has no signature; taken were inputs {inputs or 'none'}; outputs {outputs}",
        remedy="name `inputs` and `outputs` in the manifest to choose others",
    )


def _unasked(graph: Graph, bound: Mapping[str, object], signatures: tuple[Signature, ...]) -> Iterator[Finding]:
    asked = {spec.tensor for signature in signatures for spec in signature.outputs}
    left = [tensor for tensor in find_unasked(graph, bound) if tensor not in asked]
    if left:
        yield Finding(
            code="state_not_asked",
            cause=f"{', '.join(left[:MOST_NAMED])} depend on the model's state alone and not on an input; "
            "none of them was taken for an output",
            remedy="name them under `outputs` in the manifest, beside the others, to keep them",
        )


def _optional(graph: Graph, signature: Signature) -> list[TensorSpec]:
    """Return the inputs that TF1 need not be fed, unless there are no others."""
    nodes = [(spec, graph.nodes[edge_of(spec.tensor).node]) for spec in signature.inputs]
    found = [spec for spec, node in nodes if node.op == "PlaceholderWithDefault" and _is_alone(graph, node.name)]
    return found if len(found) < len(nodes) else []


def _is_alone(graph: Graph, placeholder: str) -> bool:
    """Whether a default needs no data and no pipeline, but at most the shape of another input."""
    behind = [graph.nodes[name] for name in graph.ancestors([placeholder])]
    return not any(node.op in PIPELINE_ENDS or why_denied(node) for node in behind)


def _without(graph: Graph, signature: Signature, optional: list[TensorSpec], bound: Mapping[str, object]) -> Signature:
    inputs = {spec.key: spec.tensor for spec in signature.inputs if spec not in optional}
    outputs = {spec.key: spec.tensor for spec in signature.outputs}
    return _signature(WITH_DEFAULTS_KEY, inputs, outputs, graph, bound)


def _default_finding(optional: list[TensorSpec]) -> Finding:
    left = ", ".join(spec.key for spec in optional)
    return Finding(
        code="defaults_kept",
        cause=f"{WITH_DEFAULTS_KEY} was added, which leaves {left} at what the graph sets",
        remedy=f"call {DEFAULT_KEY} to give them",
    )


def _signature(  # noqa: PLR0913 - what makes a signature
    key: str,
    inputs: Arguments,
    outputs: Arguments,
    graph: Graph,
    bound: Mapping[str, object],
    *,
    method: str = "",
) -> Signature:
    if not outputs:
        raise BadInput("the signature has no outputs", where=key, remedy="name `outputs` in the manifest")
    input_specs, output_specs = specs_of(graph, inputs, outputs, bound)
    _check_fed(graph, key, inputs, outputs, bound)
    _check_values(key, (*input_specs, *output_specs))
    return Signature(key=key, inputs=input_specs, outputs=output_specs, method=method or "tensorflow/serving/predict")


def _check_values(key: str, specs: Iterable[TensorSpec]) -> None:
    """Raise `BadInput` for a handle among a signature's tensors: it means something in one session only."""
    handles = [spec.tensor for spec in specs if spec.dtype == "resource"]
    if handles:
        raise BadInput(
            f"{handles[0]} is the handle of a resource, which a signature cannot take or return",
            where=key,
            remedy="export the model with what is read from it, or name `inputs` and `outputs` in the manifest",
        )


def _check_fed(graph: Graph, key: str, inputs: Arguments, outputs: Arguments, bound: Mapping[str, object]) -> None:
    """Raise `BadInput` where TF1 itself would ask for a placeholder that is no input.

    One that depends on something else lies in a branch, and may never be asked for.
    """
    cut = cut_at(inputs.values(), bound)
    needed = needed_by(graph, cut, outputs.values()) - {edge.node for edge in cut}
    for node in graph.of_type("Placeholder", "PlaceholderV2"):
        if node.name in needed and not node.input:
            raise BadInput(
                f"the outputs need the placeholder {node.name}, which is not among the inputs",
                where=key,
                remedy="name it under `inputs` in the manifest, or `outputs` that do without",
            )


def _inputs_of(graph: Graph, outputs: Iterable[str], bound: Mapping[str, object]) -> list[str]:
    """Return the placeholders and pipeline ends that the outputs need, in the graph's order.

    A placeholder with a default is an input like the others, since TF2 signatures have no optional ones: it
    takes the place of the pipeline behind it. Where its default is made from what a placeholder is fed, it is none.
    """
    handing_on = _handing_on(graph, bound)
    placeholders = [node.name for node in graph.of_type(*PLACEHOLDERS) if node.name not in handing_on]
    stop = {*(edge_of(tensor).node for tensor in bound), *placeholders, *_names(graph, PIPELINE_ENDS)}
    needed = graph.ancestors([edge_of(name).node for name in outputs], stop=stop)
    fed = [f"{name}:0" for name in placeholders if name in needed and f"{name}:0" not in bound]
    return fed + pipeline_inputs(graph, needed)


def _handing_on(graph: Graph, bound: Mapping[str, object]) -> set[str]:
    """Return the placeholders whose default is the data of another one, and not only of its shape."""
    true = [Edge(name, 0) for name in _names(graph, ("Placeholder", "PlaceholderV2"))]
    fed = graph.descendants([edge for edge in true if edge.tensor not in bound], opaque=SHAPE_OPS)
    return fed & set(_names(graph, ("PlaceholderWithDefault",)))


def _names(graph: Graph, ops: tuple[str, ...]) -> list[str]:
    return [node.name for node in graph.of_type(*ops)]


def _keyed(tensors: Iterable[str]) -> Arguments:
    """Name tensors; where several are of one node, its first one by its number, too."""
    tensors, keyed = list(tensors), dict[str, str]()
    count = Counter(edge_of(tensor).node for tensor in tensors)
    for tensor in tensors:
        keyed[key_of(tensor, keyed, numbered=count[edge_of(tensor).node] > 1)] = tensor
    return keyed


def _flat(infos: Mapping[str, meta_graph_pb2.TensorInfo]) -> Iterator[tuple[str, str]]:
    """Yield (argument, tensor); a sparse tensor becomes three, as in TensorFlow's own loader."""
    for key in sorted(infos):
        info = infos[key]
        if info.HasField("coo_sparse"):
            names = (
                info.coo_sparse.indices_tensor_name,
                info.coo_sparse.values_tensor_name,
                info.coo_sparse.dense_shape_tensor_name,
            )
            yield from ((f"{key}_{part}", _full(name)) for part, name in zip(SPARSE_PARTS, names, strict=True))
        elif info.HasField("composite_tensor"):
            yield from (
                (f"{key}_{index}", _full(part.name)) for index, part in enumerate(info.composite_tensor.components)
            )
        else:
            yield key, _full(info.name)


def _full(name: str) -> str:
    return edge_of(name).tensor


def _check_present(graph: Graph, name: str) -> None:
    edge = edge_of(name)
    if edge.node not in graph.nodes:
        raise BadInput(f"the graph has no tensor {name!r}", remedy=meant(edge.node, graph.nodes, "see `inspect`"))
