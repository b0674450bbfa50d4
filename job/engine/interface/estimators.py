"""Estimators' training graphs: `predict` is added, which parses serialized examples.

An Estimator's directory holds the graph that trained it, which begins at a queue or an iterator. `predict` is what
``export_saved_model`` with ``build_parsing_serving_input_receiver_fn`` would have made of its feature columns.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

import tensorflow as tf

from job.engine.graph import Graph, NodeDef, edge_of
from job.engine.interface.feature_columns import (
    IGNORED,
    Feature,
    Untold,
    features_of,
    is_made_of_columns,
    readers_of,
)
from job.engine.interface.heads import head_outputs
from job.engine.shapes import specs_of
from job.errors import JobError
from job.records import Finding, Signature, TensorSpec

KEY: Final = "predict"
"""What Estimators call the exported signature that has all of a head's predictions."""

SCOPE: Final = "parse_examples"

Bound = Mapping[str, object]


class Extended(NamedTuple):
    """What became of a graph; `added` has the signature of examples, if it could be made."""

    graph: Graph
    signatures: tuple[Signature, ...]
    added: tuple[Signature, ...]
    findings: tuple[Finding, ...]


def with_examples(
    graph: Graph, signatures: tuple[Signature, ...], bound: Bound, unproven: Iterable[str] = ()
) -> Extended:
    """Name a pipeline's tensors after their features, and add the signature that parses them from examples.

    All or nothing: where one cannot be told, the graph is as it was, and a finding says why.
    """
    same = Extended(graph, signatures, (), ())
    if len(signatures) != 1 or not is_made_of_columns(graph, signatures[0], bound):
        return same
    if KEY in unproven:
        return same._replace(findings=(_left_out("it did not pass its parity"),))
    signature = signatures[0]
    try:
        features = features_of(graph, signature, bound)
        fed = _rewired(graph, features)
    except Untold as reason:
        return same._replace(findings=(_left_out(str(reason)),))
    renamed = replace(signature, inputs=tuple(_renamed(spec, features, fed) for spec in signature.inputs))
    outputs = head_outputs(graph, renamed)
    try:
        specs = specs_of(fed.graph, {"examples": fed.examples}, outputs, bound)
    except JobError as error:
        return Extended(fed.graph, (renamed,), (), (_left_out(str(error)),))
    added = Signature(key=KEY, inputs=specs[0], outputs=specs[1], beside=signature.key)
    return Extended(fed.graph, (renamed,), (added,), (_made(features),))


class _Fed(NamedTuple):
    graph: Graph
    examples: str
    tensors: Mapping[str, str]


def _rewired(graph: Graph, features: tuple[Feature, ...]) -> _Fed:
    """Let the columns read what a new parser makes of examples, in the tensors' old dtypes."""
    scope = SCOPE
    while any(name.split("/")[0] == scope for name in graph.nodes):
        scope += "_"
    with tf.Graph().as_default() as parsing, tf.name_scope(scope):
        tensors, widths = _parsed(features)
    for feature in features:
        for name in readers_of(graph, feature.component, set(graph.nodes)):
            node = graph.nodes[name]
            node.input[:] = [
                tensors[feature.name].op.name if edge_of(text) == feature.component else text for text in node.input
            ]
        for name in feature.expanded if feature.categorical else ():
            _flatten(graph.nodes[name], widths[feature.name].op.name)
    graph.graph_def.node.extend(parsing.as_graph_def().node)
    whole = Graph(graph.graph_def)
    whole.recorded_shapes = graph.recorded_shapes
    return _Fed(whole, f"{scope}/examples:0", {f.spec.tensor: tensors[f.name].name for f in features})


def _parsed(features: tuple[Feature, ...]) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """Return each feature's tensor as the pipeline gave it, and the shape of its values in columns, by name.

    A missing value of a category is what the pipeline would have put there, which the columns leave out.
    """
    examples = tf.compat.v1.placeholder(tf.string, [None], name="examples")
    parsed = tf.io.parse_example(examples, {feature.name: _parse_spec(feature) for feature in features})
    tensors, widths = {}, {}
    for feature in features:
        value = parsed[feature.name]
        if feature.categorical:
            value = tf.sparse.to_dense(value, default_value=IGNORED[feature.parsed_as])
        tensors[feature.name] = tf.identity(tf.cast(value, feature.dtype), name=feature.name)
        shape = tf.shape(tensors[feature.name], name=f"{feature.name}/shape")
        widths[feature.name] = tf.stack([shape[0], tf.reduce_prod(shape[1:])], name=f"{feature.name}/columns")
    return tensors, widths


def _parse_spec(feature: Feature) -> object:
    if feature.categorical:
        return tf.io.VarLenFeature(feature.parsed_as)
    return tf.io.FixedLenFeature(feature.shape, feature.parsed_as)


def _flatten(node: NodeDef, columns: str) -> None:
    """Let a node that makes one column of a vector take several columns as they are, too."""
    node.op = "Reshape"
    node.input[1] = columns
    del node.attr["Tdim"]
    node.attr["Tshape"].type = tf.int32.as_datatype_enum


def _renamed(spec: TensorSpec, features: tuple[Feature, ...], fed: _Fed) -> TensorSpec:
    name = next(feature.name for feature in features if feature.spec == spec)
    return replace(spec, key=re.sub(r"\W", "_", name), tensor=fed.tensors[spec.tensor])


def _made(features: tuple[Feature, ...]) -> Finding:
    return Finding(
        code="examples_signature",
        cause=f"{KEY} was added, which takes serialized tf.Examples as Estimators' exports do; read off the feature "
        f"columns were {'; '.join(feature.described() for feature in features)}",
        remedy="check names and kinds against make_parse_example_spec of your columns: defaults of missing numbers are "
        "not in the graph, and an empty string or -1 in a category counts as missing, as in training; parity runs the "
        "added parser in the TF1 graph and in the TF2 model alike",
    )


def _left_out(reason: str) -> Finding:
    return Finding(
        code="examples_signature_left_out",
        cause=f"no signature {KEY} that parses tf.Examples could be added: {reason}",
        remedy="serving_default takes what the input pipeline gave; export by export_saved_model to have both",
    )
