"""What every variant of every kind of model must hold."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from job.engine.assembling import read_source
from job.engine.exporting import export
from job.engine.lift import lift
from job.engine.variants import VARIANTS
from job.requests import MakeVariantsRequest, SourceRequest, VerifyRequest
from job.results import MadeVariants, ParityResult
from job.workers import Forkserver
from tests.engine.interface.test_signatures import served
from tests.engine.variants.nets import NETS

MADE = {
    "convolution": {"constants", "folded", "folded_bf16"},
}
TOLERANCES = {"exact": 1e-5, "reduced": 1e-2}


@pytest.fixture(scope="module", params=NETS)
def made(
    request: pytest.FixtureRequest, forkserver: Forkserver, scratch: Path
) -> tuple[SourceRequest, Path, MadeVariants]:
    """Convert a model and make all of its variants, each in a process of its own."""
    folder = scratch / f"variants_{request.param}"
    source = served(folder, NETS[request.param])
    read = read_source(source)
    export(lift(read, allow_nonfinite=False), read, str(folder / "faithful"), scratch=source.directory)
    (folder / "made").mkdir()
    asked = MakeVariantsRequest(
        saved_model=str(folder / "faithful"), directory=str(folder / "made"), precision="reduced"
    )
    result, _ = forkserver.run("make_variants", asked, MadeVariants, timeout_s=120)
    return source, folder, result


def test_answers(made: tuple[SourceRequest, Path, MadeVariants], forkserver: Forkserver) -> None:
    source, folder, result = made
    print(folder.name)
    for variant in result.variants:
        print("   ", variant)
        if variant.reason:
            continue
        asked = VerifyRequest(
            source=source,
            saved_model=str(folder / "made" / variant.name),
            mode="exact",
            tolerance=TOLERANCES[variant.precision],
        )
        parity, _ = forkserver.run("verify", asked, ParityResult, timeout_s=120)
        print(
            "     ", parity.verdict, parity.reason, [(one.output, one.relative, one.reason) for one in parity.outputs]
        )
