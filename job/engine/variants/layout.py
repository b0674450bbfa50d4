"""Let a CPU compute over channels that come last: outside convolutions its kernels are made for that.

With channels first a ResNet-50 takes 1.10 times the CPU time, at batch 1 and 8, and without oneDNN it cannot run.
A model that was trained on a GPU often has them first. Signatures keep what they have: Transposes stand at the ends.
A GPU's graph is left as it is, since there TensorFlow chooses when it loads the model, by dtype and chip.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import config_pb2, device_properties_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.grappler import cluster, tf_optimizer

from job.engine.graph import Edge, Graph, GraphDef, NodeDef, edge_of
from job.engine.shapes import dtype_of
from job.engine.variants.base import Device, FrozenGraph, Rewritten
from job.engine.variants.constants import fold_constants
from job.engine.variants.editing import constant, is_constant, rerouted, with_inputs, with_nodes

CHANNELS_FIRST: Final = (b"NCHW", b"NCDHW")

CPU: Final = "/job:localhost/replica:0/task:0/device:CPU:0"
"""TensorFlow's layout optimizer turns only what is placed, on a device that it knows of."""


def channels_last(frozen: FrozenGraph, device: Device) -> Rewritten:
    """Return the graph with its convolutions, and what can follow them, over channels that come last."""
    count = _channels_first(frozen.graph_def)
    if device != "cpu" or not count:
        return frozen, ()
    turned = _turned(frozen)
    if _channels_first(turned.graph_def):  # as pools of volumes: Transposes around each cost what the others gain
        return frozen, ()
    folded, _ = fold_constants(_without_detours(turned), device)  # axes and pads, of which it computes the new ones
    return folded, (f"{count} ops compute over channels that come last",)


def _channels_first(graph_def: GraphDef) -> int:
    return sum(node.attr["data_format"].s in CHANNELS_FIRST for node in graph_def.node if "data_format" in node.attr)


def _turned(frozen: FrozenGraph) -> FrozenGraph:
    """Return what TensorFlow's layout optimizer makes of a graph, which it leaves as it is where it fails."""
    ends = list(_ends(frozen))
    meta_graph = meta_graph_pb2.MetaGraphDef(graph_def=frozen.graph_def)
    meta_graph.graph_def.node.extend(ends)
    kept = meta_graph.collection_def["train_op"].node_list  # where it looks for what is fetched
    kept.value.extend(end.name for end in ends)
    for node in meta_graph.graph_def.node:
        node.device = CPU
    graph_def = tf_optimizer.OptimizeGraph(_config(), meta_graph, verbose=False, cluster=_one_cpu())
    for node in graph_def.node:
        node.device = ""
    graph = Graph(graph_def)
    outputs = tuple(graph.inputs(end.name)[0].tensor for end in ends)
    return with_nodes(replace(frozen, graph_def=graph_def, outputs=outputs), graph_def.node)


def _ends(frozen: FrozenGraph) -> Iterator[NodeDef]:
    """Yield nodes that hand on the outputs: the optimizer leaves what is fetched itself as it is."""
    graph = Graph(frozen.graph_def)
    for index, name in enumerate(frozen.outputs):
        end = with_inputs(NodeDef(name=f"channels_last/output_{index}", op="Identity"), [edge_of(name)])
        end.attr["T"].type = dtype_of(graph, edge_of(name)).as_datatype_enum
        yield end


def _config() -> Any:
    config = config_pb2.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.cpu_layout_conversion = rewriter_config_pb2.RewriterConfig.NCHW_TO_NHWC
    rewriting.optimizers.append("layout")
    rewriting.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    rewriting.min_graph_nodes = -1
    return config


def _one_cpu() -> Any:
    """Return the same machine whatever this one is: what is written may not depend on it."""
    properties = device_properties_pb2.DeviceProperties(type="CPU", num_cores=1, frequency=1000)
    return cluster.Cluster(devices=[device_properties_pb2.NamedDevice(name=CPU, properties=properties)])


def _without_detours(frozen: FrozenGraph) -> FrozenGraph:
    """Return the graph with one Transpose where several follow one another, and none where they undo each other."""
    graph, routes, nodes = Graph(frozen.graph_def), dict[Edge, Edge](), list[NodeDef]()
    for node in graph.of_type("Transpose"):
        start, order, steps = _transposed(graph, Edge(node.name, 0))
        if steps and order == sorted(order):
            routes[Edge(node.name, 0)] = start
        elif steps > 1:
            permutation = constant(f"{node.name}/order", np.asarray(order, np.int32), types_pb2.DT_INT32)
            once = with_inputs(node, [start, Edge(permutation.name, 0)])
            once.attr["Tperm"].type = types_pb2.DT_INT32
            nodes += [permutation, once]
    return rerouted(with_nodes(frozen, [*frozen.graph_def.node, *nodes]), routes)


def _transposed(graph: Graph, edge: Edge) -> tuple[Edge, list[int], int]:
    """Return what a tensor is a Transpose of, in which order of axes, and by how many of them."""
    order, steps = list[int](), 0
    while graph.nodes[edge.node].op == "Transpose":
        given, axes = graph.inputs(edge.node)
        if not is_constant(graph.nodes[axes.node]):  # one in a loop has its place there
            break
        step = [int(axis) for axis in np.asarray(graph.const(axes))]
        order = [step[axis] for axis in order] if order else step
        edge, steps = given, steps + 1
    return edge, order, steps
