"""Random numbers that reach an answer: dropout that could not be switched off, noise, sampling."""

from collections.abc import Iterator
from typing import Final

from job.engine.health.dropout import sources_off
from job.engine.health.path import Path
from job.engine.health.subject import Subject
from job.records import Finding

RANDOM_OPS: Final = (
    *("RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "ParameterizedTruncatedNormal"),
    *("RandomGamma", "RandomPoisson", "RandomPoissonV2", "RandomShuffle", "RandomCrop", "Multinomial"),
    *("SampleDistortedBoundingBox", "SampleDistortedBoundingBoxV2"),
    *("StatefulUniform", "StatefulUniformInt", "StatefulStandardNormal", "StatefulStandardNormalV2"),
    *("StatefulTruncatedNormal", "StatefulRandomBinomial"),
)


def random_in_graph(subject: Subject) -> Iterator[Finding]:
    """Say that answers differ from call to call, and where the random numbers come from."""
    path = subject.path
    left = [node for node in path.of_type(*RANDOM_OPS) if _reaches_more_than_shapes(path, node.name)]
    harmless = sources_off(path.graph, path.switches) if left else set[str]()
    left = [node for node in left if node.name not in harmless]
    left += [node for function in path.functions() for node in function.node_def if node.op in RANDOM_OPS]
    if left:
        kinds = ", ".join(sorted({node.op for node in left}))
        yield Finding(
            code="random_in_graph",
            cause=f"{len(left)} nodes draw random numbers at inference ({kinds}; first {left[0].name}): "
            "the same input gets another answer each time",
            remedy="right for a model that samples; for noise of training, try --dropout off, or export the inference "
            "graph, or name what comes behind it under `inputs` in the manifest",
            severity="warning",
        )


def _reaches_more_than_shapes(path: Path, name: str) -> bool:
    users = [path.graph.nodes[who].op for who, _, _ in path.graph.consumers(name) if who in path.nodes]
    return any(op not in ("Shape", "ShapeN", "Size", "Rank") for op in users) or not users
