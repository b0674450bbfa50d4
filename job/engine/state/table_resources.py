"""A lookup table of TF1 as a resource that a TF2 SavedModel tracks, and fills when it is loaded."""

import hashlib
from collections.abc import Iterator

import tensorflow as tf

from job.engine.graph import Edge, attribute, edge_of
from job.engine.pruning import prune
from job.engine.rewrites import to_resources
from job.engine.run_errors import message_of
from job.engine.shapes import dtype_of, import_tensors
from job.engine.source_graph import SourceGraph
from job.engine.state.checkpoint import read_tensor
from job.engine.state.tables import TABLE_OPS, Table
from job.errors import BadInput

DTYPES = ("key_dtype", "value_dtype")


class LiftedTable(tf.saved_model.experimental.TrackableResource):  # type: ignore[misc]
    """One table; its initialiser is the original's, so that computed keys and values come for free."""

    def __init__(self, source: SourceGraph, table: Table) -> None:
        self._source, self._table = source, table
        self._fills = [prune(source.graph, self._cut(), together) for together in self._in_order()]
        # A resource tracks no attributes by itself: an asset that is not tracked is saved as this machine's path.
        self.assets = {
            name: self._track_trackable(tf.saved_model.Asset(str(path)), f"asset_{number}")
            for number, (name, path) in enumerate(source.assets.items())
            if self._reads(name)
        }
        self._restored = {
            tensor: read_tensor(source.checkpoint, key, dtype_of(source.graph, edge_of(tensor)))
            for tensor, key in table.restored.items()
        }
        super().__init__()
        with tf.init_scope():
            _ = self.resource_handle  # made on first use, which must not be inside a function's graph

    def fill(self) -> None:
        """Fill the table now, as loading the model will; raises `BadInput` where its contents do not fit it."""
        try:
            self._initialize()
        except (tf.errors.OpError, UnicodeDecodeError) as error:  # the latter where a message quotes bytes
            raise BadInput(
                f"the table {self._table.name} cannot be filled: {message_of(error)}",
                remedy="its vocabulary is damaged or another model's; copy the whole model directory again",
            ) from error

    def _create_resource(self) -> tf.Tensor:
        graph, name = self._source.graph, self._table.name
        node = graph.nodes[name]
        attributes = {key: tf.as_dtype(node.attr[key].type) for key in DTYPES} | {"shared_name": self._shared_name()}
        op = TABLE_OPS[node.op]
        if op != "HashTableV2" and "value_shape" in node.attr:
            attributes["value_shape"] = tf.TensorShape(attribute(node, "value_shape").shape)
        if op == "MutableDenseHashTableV2":
            keys = [graph.const(edge) for edge in graph.inputs(name)]
            del attributes["key_dtype"]  # which the empty key tells
            return tf.raw_ops.MutableDenseHashTableV2(empty_key=keys[0], deleted_key=keys[1], **attributes)
        return getattr(tf.raw_ops, op)(**attributes)

    def _initialize(self) -> None:
        if self._fills:
            tf.function(self._run_fills, autograph=False)()

    def _in_order(self) -> list[list[str]]:
        """Return what fills the table: the saver first, and what the model itself runs after that."""
        graph, restored = self._source.graph, {edge_of(tensor) for tensor in self._table.restored}
        by_saver = [node for node in self._table.filled_by if restored & set(graph.inputs(node))]
        after = [node for node in self._table.filled_by if node not in by_saver]
        return [together for together in (by_saver, after) if together]

    def _run_fills(self) -> None:
        """Import what fills the table; automatic control dependencies make it run, in this order."""
        capture = tf.compat.v1.get_default_graph().capture
        fed = {name: capture(tensor) for name, tensor in self._fed()}
        for fill in self._fills:
            graph_def, handles = to_resources(fill)
            import_tensors(graph_def, fed | dict.fromkeys(handles.values(), fed[f"{self._table.name}:0"]), [])

    def _fed(self) -> Iterator[tuple[str, tf.Tensor]]:
        yield f"{self._table.name}:0", self.resource_handle
        for name, asset in self.assets.items():
            yield f"{name}:0", asset.asset_path
        for tensor, value in self._restored.items():
            # Without a shape: a dense table stores keys with one dimension more than shape inference lets it take.
            yield tensor, tf.compat.v1.placeholder_with_default(tf.constant(value), None)

    def _cut(self) -> set[Edge]:
        restored = {edge_of(tensor) for tensor in self._table.restored}
        return {Edge(self._table.name, 0)} | {Edge(name, 0) for name in self._source.assets} | restored

    def _reads(self, name: str) -> bool:
        """Whether the constant `name`, a path, is an input of what fills this table."""
        return any(edge_of(text).node == name for fill in self._fills for node in fill.node for text in node.input)

    def _shared_name(self) -> str:
        """Tables are shared by name within a process: two models must not meet, one model may meet itself."""
        digest = hashlib.sha256(self._source.graph.graph_def.SerializeToString(deterministic=True))
        return f"{self._table.name}_{digest.hexdigest()[:16]}"
