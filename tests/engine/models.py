"""Small TF1 graphs, saved as their owners would, and both sides of their conversion."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from job.engine.assembling import read_source
from job.engine.exporting import export
from job.engine.lift import lift
from job.engine.runners import Candidate
from job.engine.source_graph import SourceGraph
from job.records import ArtifactOptions, Format, Signature
from job.requests import SourceRequest

v1 = tf.compat.v1
Build = Callable[[], object]
"""Builds ops in the current graph; what it returns is of no matter."""

Saver = Callable[[Build], SourceRequest]
"""What the fixture `saved` does."""

Feeds = Mapping[str, Any]
"""Values by tensor name."""


@contextmanager
def v1_graph() -> Iterator[tf.Graph]:
    """Enter a new graph in which `tf.cond` and `tf.while_loop` are TF1's, and variables references if asked for."""
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default() as graph:
            yield graph
    finally:
        v1.enable_control_flow_v2()


def graph_of(build: Build) -> tf.compat.v1.GraphDef:
    """Return what `build` builds."""
    with v1_graph() as graph:
        build()
        return graph.as_graph_def(add_shapes=True)


def ref(name: str, value: Any, **how: Any) -> Any:
    """Return a reference variable, as TF1 makes them by default."""
    return v1.get_variable(name, initializer=tf.convert_to_tensor(value), use_resource=False, **how)


def started() -> tf.compat.v1.Session:
    """Return a session of the current graph, its variables initialised and its tables filled."""
    session = v1.Session()
    session.run([v1.global_variables_initializer(), v1.tables_initializer()])
    return session


def save_checkpoint(graph: tf.Graph, folder: Path, **how: Any) -> SourceRequest:
    """Save the graph's variables, initialised, with its MetaGraph."""
    folder.mkdir(parents=True, exist_ok=True)
    with graph.as_default(), started() as session:
        if v1.global_variables():
            saver = v1.train.Saver(**how)
            saver.save(session, str(folder / "model.ckpt"))
        else:
            v1.train.export_meta_graph(str(folder / "model.ckpt.meta"))
    return request_of(folder)


def request_of(folder: Path, options: ArtifactOptions | None = None) -> SourceRequest:
    """Return the request to read the checkpoint in `folder`."""
    return SourceRequest(
        format=Format.META_GRAPH, directory=str(folder), entry="model.ckpt", options=options or ArtifactOptions()
    )


@dataclass(frozen=True, kw_only=True)
class Converted:
    """An artifact after its conversion: the source as read, and the SavedModel as loaded by its users."""

    source: SourceGraph
    candidate: Candidate
    directory: Path

    def signature(self, key: str = "serving_default") -> Signature:
        """Return one signature."""
        return next(signature for signature in self.source.signatures if signature.key == key)

    def answer(self, feeds: Feeds, key: str = "serving_default") -> dict[str, Any]:
        """Return the signature's outputs, by tensor name."""
        signature = self.signature(key)
        arrays = [np.asarray(feeds[spec.tensor]) for spec in signature.inputs]
        outputs = self.candidate.run(signature, arrays)
        return {spec.tensor: output for spec, output in zip(signature.outputs, outputs, strict=True)}


def converted(request: SourceRequest, folder: Path) -> Converted:
    """Lift, export and load again."""
    source = read_source(request)
    directory = folder / "converted"
    export(lift(source, allow_nonfinite=False), source, str(directory), scratch=request.directory)
    return Converted(source=source, candidate=Candidate(str(directory)), directory=directory)


def restored(request: SourceRequest) -> tf.compat.v1.Session:
    """Open an artifact as TF1 does, by nothing of ours; the session's graph is a new one."""
    prefix = Path(request.directory, request.entry)
    with tf.Graph().as_default() as graph:
        session = v1.Session(graph=graph)
        saver = v1.train.import_meta_graph(f"{prefix}.meta")
        if saver is not None:
            sharded = next(prefix.parent.glob(f"{prefix.name}-00000-of-*"), None)  # of the first version
            saver.restore(session, str(sharded).replace("-00000-of-", "-?????-of-") if sharded else str(prefix))
        session.run(v1.get_collection(v1.GraphKeys.TABLE_INITIALIZERS))
    return session


def assert_same(
    request: SourceRequest, folder: Path, fetches: Sequence[str], calls: Sequence[Feeds], fed: Feeds | None = None
) -> Converted:
    """Call a TF1 session and the reloaded SavedModel in turn, and hold every answer of the two against each other.

    `fed` are the switches that only the session is fed.
    """
    model = converted(request, folder)
    assert {spec.tensor for spec in model.signature().outputs} >= set(fetches)
    with closing(restored(request)) as session:
        for number, feeds in enumerate(calls):
            wanted = session.run(dict(zip(fetches, fetches, strict=True)), {**feeds, **(fed or {})})
            said = model.answer(feeds)
            for name in fetches:
                np.testing.assert_array_equal(said[name], wanted[name], f"{name} in call {number}")
    return model


def outputs(**names: str) -> ArtifactOptions:
    """Return options that choose outputs, by argument name."""
    return ArtifactOptions(outputs=names)
