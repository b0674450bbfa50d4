from dataclasses import replace
from pathlib import Path

import pytest

from job.records import ArtifactOptions, Format
from job.requests import (
    BenchmarkRequest,
    ConvertRequest,
    DeviceRequest,
    KerasRequest,
    MakeVariantsRequest,
    RaceRequest,
    SourceRequest,
    VerifyRequest,
    WarmUpRequest,
)
from job.sandbox import Confinement, Sandbox
from job.sandbox.needs import confinement_of

SOURCE = SourceRequest(format=Format.CHECKPOINT, directory="/s/source", entry="model.ckpt")
SANDBOX = Sandbox(landlock=7, seccomp=True)


def verify(mode: str) -> VerifyRequest:
    """Return a comparison."""
    return VerifyRequest(
        source=SOURCE,
        saved_model="/s/out/saved_model",
        mode="exact" if mode == "exact" else "as_run",
        tolerance=1e-5,
        reference="/s/reference/answers.npz",
    )


KERAS = KerasRequest(source=SOURCE, file="/s/keras/model.keras", reference="/s/reference/answers.npz", tolerance=1e-5)
CONVERT = ConvertRequest(source=SOURCE, saved_model="/s/out/saved_model")
BENCHMARK = BenchmarkRequest(source=SOURCE, saved_model="/s/out/saved_model", effort="quick")

WARM_UP = WarmUpRequest(source=SOURCE, saved_model="/s/out/saved_model", reference="/s/reference/answers.npz")
FAST = replace(BENCHMARK, fast="/s/out/saved_model_fast")
RACE = RaceRequest(
    source=SOURCE, saved_models={"faithful": "/s/out/saved_model", "folded": "/s/variants/folded"}, budget_s=1
)


def confined(stage: str, request: object) -> Confinement:
    """Return what a stage is let at."""
    return confinement_of(stage, request, scratch=Path("/s/exact-1"), sandbox=SANDBOX, on_gpu=False)


@pytest.mark.parametrize(
    ("stage", "request_", "reads", "writes"),
    [
        ("probe_device", DeviceRequest(device="auto"), (), ()),
        ("inspect", SOURCE, ("/s/source",), ()),
        ("convert", CONVERT, ("/s/source",), ("/s/out/saved_model",)),
        ("verify", verify("exact"), ("/s/source", "/s/out/saved_model", "/s/reference"), ("/s/reference",)),
        ("verify", verify("as_run"), ("/s/source", "/s/out/saved_model", "/s/reference"), ()),
        ("write_keras", KERAS, ("/s/source", "/s/reference", "/s/keras"), ("/s/keras",)),
        ("verify_keras", KERAS, ("/s/source", "/s/reference", "/s/keras"), ()),
        (
            "warm_up",
            WARM_UP,
            ("/s/source", "/s/out/saved_model", "/s/reference"),
            ("/s/out/saved_model/assets.extra",),
        ),
        ("benchmark", BENCHMARK, ("/s/source", "/s/out/saved_model"), ()),
        ("benchmark", FAST, ("/s/source", "/s/out/saved_model", "/s/out/saved_model_fast"), ()),
        ("race", RACE, ("/s/source", "/s/out/saved_model", "/s/variants/folded"), ()),
    ],
)
def test_stage_is_let_at_what_it_needs(
    stage: str, request_: object, reads: tuple[str, ...], writes: tuple[str, ...]
) -> None:
    """No stage writes the source; none but the first writes the model that is published; none sees log and report."""
    found = confined(stage, request_)
    assert (found.reads, found.writes) == (reads, writes)
    assert (found.scratch, found.sandbox) == ("/s/exact-1", SANDBOX)


def test_what_a_user_names_is_read() -> None:
    """Samples, recorded answers, graph, rules, op libraries and the directory of his function, wherever they lie."""
    options = ArtifactOptions(
        samples="/u/samples.npz",
        goldens="/u/goldens.npz",
        graph="/u/graph.pb",
        rules="/u/rules.yaml",
        architecture="nets.mine:build@/home/u/code",
        op_libraries=(f"/u/ops.so@sha256:{'0' * 64}",),
    )
    source = SourceRequest(format=Format.CHECKPOINT, directory="/s/source", entry="x", options=options)
    assert confined("inspect", source).reads == (
        *("/s/source", "/u/samples.npz", "/u/goldens.npz", "/u/graph.pb", "/u/rules.yaml", "/u/ops.so"),
        "/home/u/code",
    )


def test_known_architecture_is_no_file() -> None:
    """``slim_resnet_v1_50`` is code of the job's."""
    options = ArtifactOptions(architecture="slim_resnet_v1_50")
    source = SourceRequest(format=Format.CHECKPOINT, directory="/s/source", entry="x", options=options)
    assert confined("inspect", source).reads == ("/s/source",)


def test_libraries_of_ops_are_read_where_variants_are_made() -> None:
    """Of what a user names, a SavedModel needs his op libraries alone to be loaded."""
    options = ArtifactOptions(samples="/u/samples.npz", op_libraries=(f"/u/ops.so@sha256:{'0' * 64}",))
    asked = MakeVariantsRequest(
        saved_model="/s/out/saved_model", directory="/s/variants", precision="exact", options=options
    )
    found = confined("make_variants", asked)
    assert (found.reads, found.writes) == (("/s/out/saved_model", "/u/ops.so"), ("/s/variants",))
