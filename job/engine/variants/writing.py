"""Write a variant as a SavedModel that its callers cannot tell from the faithful one but by its speed."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import tensorflow as tf

from job.engine.exporting import save
from job.engine.graph import Graph
from job.engine.pruning import cut_at, prune
from job.engine.shapes import import_tensors
from job.engine.variants.base import FrozenGraph
from job.engine.variants.compiling import compiled
from job.engine.variants.faithful import Faithful, Served
from job.engine.withheld import Withheld
from job.records import TargetTf


class VariantModel(tf.Module):  # type: ignore[misc]
    """A model without variables: `functions` by signature key, and `__call__` as the faithful one has it."""

    def __init__(self, faithful: Faithful, graphs: Mapping[str, FrozenGraph], *, is_compiled: bool) -> None:
        super().__init__()
        self.withheld = Withheld("make_variants")
        self.tables = [table for graph in graphs.values() for table in graph.handles.values()]
        self.functions = dict[str, Any]()
        for served in faithful.signatures:
            names = faithful.called_with if served.key == faithful.called else tuple(served.arguments)
            frozen = graphs[served.key]
            needed = prune(Graph(frozen.graph_def), cut_at([*frozen.inputs, *frozen.handles], {}), frozen.outputs)
            light = replace(frozen, graph_def=self.withheld.without_weights(needed))
            function = _function(served, names, light, is_compiled=is_compiled)
            self.functions[served.key] = function.get_concrete_function()
        self.__call__ = self.functions[faithful.called]


def write(model: VariantModel, faithful: Faithful, directory: str, *, scratch: str, target_tf: TargetTf) -> None:
    """Write the signatures, each with its original key, method, names and shapes; raises as `exporting.save`.

    `scratch` is where the faithful SavedModel lies.
    """

    def restore(definitions: Any) -> None:
        for served in faithful.signatures:
            _restore(definitions[served.key], served.definition)

    save(model, directory, restore, scratch=scratch, target_tf=target_tf)


def _function(served: Served, names: tuple[str, ...], frozen: FrozenGraph, *, is_compiled: bool) -> Any:
    places = dict(zip(served.arguments, frozen.inputs, strict=True))
    specs = [tf.TensorSpec(served.arguments[name].shape, served.arguments[name].dtype, name=name) for name in names]
    body = _imported(served, frozen, [places[name] for name in names])
    resources = [tf.TensorSpec([], tf.resource)] * len(frozen.handles)
    # As in a lifted model: TF1's loops load again only from an inner wrap_function.
    wrapped = tf.compat.v1.wrap_function(body, [*specs, *resources])

    def call(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = wrapped(*arguments, *(table.resource_handle for table in frozen.handles.values()))
        return dict(zip(served.outputs, outputs, strict=True))

    inner = compiled(call, specs) if is_compiled else call

    def run(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        return inner(*arguments)

    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return tf.function(run, input_signature=specs, autograph=False)


def _imported(served: Served, frozen: FrozenGraph, inputs: list[str]) -> Callable[..., list[tf.Tensor]]:
    """Return a function of the inputs and the tables' handles, whose outputs have the shapes of the faithful ones."""
    fed = [*inputs, *frozen.handles]

    def body(*arguments: tf.Tensor) -> list[tf.Tensor]:
        outputs = import_tensors(frozen.graph_def, dict(zip(fed, arguments, strict=True)), frozen.outputs)
        for output, spec in zip(outputs, served.outputs.values(), strict=True):
            output.set_shape(spec.shape)
        return outputs

    return body


def _restore(definition: Any, original: Any) -> None:
    """Make a signature the original's; both name their input tensors by the arguments."""
    places = {key: info.name for key, info in definition.outputs.items()}
    definition.CopyFrom(original)
    for key, name in places.items():
        definition.outputs[key].name = name
