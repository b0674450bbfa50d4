"""What every variant of every kind of model must hold."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from job.engine.assembling import read_source
from job.engine.exporting import export
from job.engine.lift import lift
from job.engine.variants import VARIANTS, reduced
from job.records import ArtifactOptions
from job.requests import MakeVariantsRequest, SourceRequest, VerifyRequest
from job.results import MadeVariants, ParityResult
from job.workers import Forkserver
from tests.engine.interface.test_signatures import served
from tests.engine.variants.nets import NETS, channels_first

TOLERANCES = {"exact": 1e-5, "reduced": 2e-2}

MADE = {
    "convolution": ["constants", "folded", "folded_bf16"],
    "depthwise": ["constants", "folded", "folded_bf16"],
    "dense": ["constants", "folded", "folded_bf16"],
    "channels_first": ["constants", "folded", "folded_bf16"],
    "shared": ["constants", "folded", "folded_bf16"],
    "words": ["constants", "folded_bf16"],
    "looped": ["constants"],
    "looked_up": ["constants"],
    "recurrent": ["constants"],
}
"""What is made of each net on a processor with bfloat16."""


class Made(NamedTuple):
    """A net, converted, and all of its variants; `baseline` is what these must answer like."""

    net: str
    baseline: SourceRequest
    faithful: Path
    directory: Path
    result: MadeVariants


@pytest.fixture(scope="module", params=NETS)
def made(request: pytest.FixtureRequest, forkserver: Forkserver, scratch: Path) -> Made:
    """Convert a net and make all of its variants, as the job does."""
    folder = scratch / f"variants_{request.param}"
    source = served(folder, NETS[request.param])
    read = read_source(source)
    export(lift(read, allow_nonfinite=False), read, str(folder / "faithful"), scratch=source.directory)
    (folder / "made").mkdir()
    asked = MakeVariantsRequest(
        saved_model=str(folder / "faithful"),
        directory=str(folder / "made"),
        precision="reduced",
        options=ArtifactOptions(target_tf="2.8"),
    )
    result, _ = forkserver.run("make_variants", asked, MadeVariants, timeout_s=120)
    if request.param == "channels_first":
        source = served(folder / "twin", partial(channels_first, "NHWC"))
    return Made(request.param, source, folder / "faithful", folder / "made", result)


def meta_graph(directory: Path) -> Any:
    return saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes()).meta_graphs[0]


def test_each_is_made_or_has_a_reason(made: Made) -> None:
    """Every variant of the list for this device is told of, and the directory holds those that were made."""
    assert [one.name for one in made.result.variants] == [one.name for one in VARIANTS if "cpu" in one.devices]
    names = [one.name for one in made.result.variants if not one.reason]
    assert sorted(path.name for path in made.directory.iterdir()) == sorted(names)
    expected = MADE[made.net] if reduced.has_bfloat16() else [one for one in MADE[made.net] if "bf16" not in one]
    assert names == expected
    assert all(one.changes for one in made.result.variants if not one.reason)


def test_signatures_are_the_faithful_ones(made: Made) -> None:
    """Clients find the same keys, dtypes, shapes and methods; no variant holds a variable or names this machine."""
    wanted = meta_graph(made.faithful).signature_def
    for directory in made.directory.iterdir():
        written = meta_graph(directory)
        for key, definition in written.signature_def.items():
            for name, info in definition.outputs.items():
                info.name = wanted[key].outputs[name].name
            assert definition == wanted[key]
        assert set(written.signature_def) == set(wanted)
        assert not [one for one in written.object_graph_def.nodes if one.WhichOneof("kind") == "variable"]
        assert str(made.faithful.parent).encode() not in (directory / "saved_model.pb").read_bytes()


def test_answers_are_those_of_the_tf1_graph(made: Made, forkserver: Forkserver) -> None:
    """Loaded in another process, a variant answers as the TF1 graph does, within its class."""
    runnable = [one for one in made.result.variants if not one.reason]
    if made.net == "channels_first":  # without oneDNN, a CPU has no kernels for these graphs, but for their twins
        runnable = [one for one in runnable if one.name != "constants"]
    for variant in runnable:
        asked = VerifyRequest(
            source=made.baseline,
            saved_model=str(made.directory / variant.name),
            mode="exact",
            tolerance=TOLERANCES[variant.precision],
        )
        parity, _ = forkserver.run("verify", asked, ParityResult, timeout_s=120)
        assert parity.verdict == "passed", (variant.name, parity)
