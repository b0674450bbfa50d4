"""The signatures of a model: those it was exported with, what the user says, or the ranked guess."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from tensorflow.core.protobuf import meta_graph_pb2

from job.engine.graph import Graph, edge_of
from job.engine.interface import PIPELINE_ENDS, find_outputs, key_of, pipeline_inputs
from job.engine.shapes import specs_of
from job.engine.switches import PLACEHOLDERS
from job.errors import BadInput
from job.records import ArtifactOptions, Finding, Signature

DEFAULT_KEY = "serving_default"
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
    declared = {
        key: meta_graph.signature_def[key] for key in sorted(meta_graph.signature_def) if key not in INTERNAL_KEYS
    }
    if declared and not options.outputs:
        return _declared(declared, graph, bound, options)
    return _guessed(graph, bound, options)


def _declared(
    declared: dict[str, meta_graph_pb2.SignatureDef],
    graph: Graph,
    bound: Mapping[str, object],
    options: ArtifactOptions,
) -> Found:
    unknown = [key for key in options.signatures if key not in declared]
    if unknown:
        raise BadInput(f"no signature {unknown[0]!r}", remedy=f"the model has: {', '.join(declared)}")
    signatures, findings = list[Signature](), list[Finding]()
    for key in options.signatures or declared:
        definition = declared[key]
        inputs, outputs = dict(_flat(definition.inputs)), dict(_flat(definition.outputs))
        gone = [tensor for tensor in (*inputs.values(), *outputs.values()) if edge_of(tensor).node not in graph.nodes]
        if gone:
            findings.append(
                Finding(
                    code="signature_broken",
                    cause=f"signature {key} names {gone[0]}, which is not in the graph; it was left out",
                    remedy="export the model again if you need it",
                    severity="warning",
                )
            )
            continue
        signatures.append(_signature(key, inputs, outputs, graph, bound, method=definition.method_name))
    if not signatures:
        raise BadInput(
            "no signature of the model can be used", where=findings[0].cause, remedy="name `outputs` in the manifest"
        )
    return tuple(signatures), tuple(findings)


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
        if signature.inputs and 0 < len(batched) < len(signature.outputs):  # the scalars are losses or metrics
            signature = _with_outputs(graph, batched, options.inputs, kept)
    if options.inputs and options.outputs:
        return (signature,), ()
    return (signature,), (_guess_finding(signature),)


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


def _signature(  # noqa: PLR0913 - what makes a signature
    key: str,
    inputs: Arguments,
    outputs: Arguments,
    graph: Graph,
    bound: Mapping[str, object],
    *,
    method: str = "",
) -> Signature:
    input_specs, output_specs = specs_of(graph, inputs, outputs, bound)
    return Signature(key=key, inputs=input_specs, outputs=output_specs, method=method or "tensorflow/serving/predict")


def _inputs_of(graph: Graph, outputs: Iterable[str], bound: Mapping[str, object]) -> list[str]:
    """Return the placeholders and pipeline ends that the outputs need, in the graph's order.

    A placeholder with a default is an input like the others: TF2 signatures have no optional ones.
    """
    stop = {edge_of(tensor).node for tensor in bound} | {node.name for node in graph.of_type(*PIPELINE_ENDS)}
    needed = graph.ancestors([edge_of(name).node for name in outputs], stop=stop)
    fed = [
        f"{node.name}:0"
        for node in graph.of_type(*PLACEHOLDERS)
        if node.name in needed and f"{node.name}:0" not in bound
    ]
    return fed + pipeline_inputs(graph, needed)


def _keyed(tensors: Iterable[str]) -> Arguments:
    keyed: Arguments = {}
    for tensor in tensors:
        keyed[key_of(tensor, keyed)] = tensor
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
        close = next(iter(get_close_matches(edge.node, list(graph.nodes), n=1)), "")
        raise BadInput(
            f"the graph has no tensor {name!r}", remedy=f"did you mean {close!r}?" if close else "see `inspect`"
        )
