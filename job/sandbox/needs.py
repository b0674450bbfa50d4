"""What each stage needs of the file system, read off its request: its input to read, and what it makes to write."""

from collections.abc import Iterator
from pathlib import Path

from job.pinned import parse_op_library
from job.records import ArtifactOptions
from job.requests import (
    BenchmarkRequest,
    ConvertRequest,
    KerasRequest,
    MakeVariantsRequest,
    RaceRequest,
    SourceRequest,
    VerifyRequest,
    WarmUpRequest,
)
from job.sandbox.confinement import Confinement, Sandbox
from job.user_function import is_scheme, parse_user_function
from job.warm_up import FILE


def confinement_of(stage: str, request: object, *, scratch: Path, sandbox: Sandbox, on_gpu: bool) -> Confinement:
    """Return what a stage is let at.

    What it writes are directories of their own, which its supervisor makes: a worker with the right to make them
    could as well remove what lies beside them.
    """
    return Confinement(
        scratch=str(scratch),
        sandbox=sandbox,
        reads=tuple(_reads(request)),
        writes=tuple(_writes(stage, request)),
        on_gpu=on_gpu,
    )


def _reads(request: object) -> Iterator[str]:
    source = getattr(request, "source", request)
    if isinstance(source, SourceRequest):
        yield source.directory
        yield from _of_the_user(source.options)
    if isinstance(request, (VerifyRequest, WarmUpRequest, BenchmarkRequest, MakeVariantsRequest)):
        yield request.saved_model
    if isinstance(request, MakeVariantsRequest):
        yield from _libraries(request.options)
    if isinstance(request, BenchmarkRequest) and request.fast:
        yield request.fast
    if isinstance(request, RaceRequest):
        yield from request.saved_models.values()
    if isinstance(request, (VerifyRequest, KerasRequest, WarmUpRequest)) and request.reference:
        yield str(Path(request.reference).parent)
    if isinstance(request, KerasRequest):
        yield str(Path(request.file).parent)


def _of_the_user(options: ArtifactOptions) -> Iterator[str]:
    """Yield the files that a user names, and the directory that his function is imported from."""
    yield from filter(None, (options.samples, options.goldens, options.graph, options.rules))
    yield from _libraries(options)
    if options.architecture and not is_scheme(options.architecture):
        yield parse_user_function(options.architecture).root


def _libraries(options: ArtifactOptions) -> Iterator[str]:
    return (parse_op_library(library).path for library in options.op_libraries)


def _writes(stage: str, request: object) -> Iterator[str]:
    if isinstance(request, ConvertRequest):
        yield request.saved_model
    if isinstance(request, MakeVariantsRequest):
        yield request.directory
    if isinstance(request, VerifyRequest) and request.mode == "exact" and request.reference and not request.precision:
        yield str(Path(request.reference).parent)
    if isinstance(request, WarmUpRequest):
        yield str(Path(request.saved_model, FILE).parent)
    if isinstance(request, KerasRequest) and stage == "write_keras":
        yield str(Path(request.file).parent)
