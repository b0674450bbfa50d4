"""What decides a result: equal plans have equal results, and the second one is skipped."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from job import codec
from job.pinned import parse_op_library
from job.records import ArtifactOptions, DeviceReport, Digest
from job.settings import Settings
from job.storage.files import digest_of
from job.user_function import is_scheme, parse_user_function

TENSORFLOW_PACKAGES: Final = ("tensorflow", "tensorflow-cpu", "tf-nightly")

DECIDING: Final = ("benchmark", "tolerance", "seed", "precision", "tune_budget", "serving_warmup")
"""The settings that decide as they are; others do so as an artifact's options, as its sources, or not at all."""


def plan_of(sources: tuple[Digest, ...], versions: Mapping[str, str], options: Mapping[str, object]) -> str:
    """Return the SHA-256 of all that decides a result.

    `options` may hold records and whatever else `job.codec` can write.
    """
    ordered = [
        {"key": source.key, "size_bytes": source.size_bytes, "sha256": source.sha256}  # not what verified them
        for source in sorted(sources, key=lambda source: source.key)
    ]
    canonical = codec.dumps({"sources": ordered, "versions": versions, "options": options})
    return hashlib.sha256(canonical.encode()).hexdigest()


def deciding(settings: Settings, options: ArtifactOptions, device: DeviceReport) -> dict[str, object]:
    """Return what a user says that decides a result; not where files lie, which is another place in each run."""
    said = {name: getattr(settings, name) for name in DECIDING}
    return {"options": _by_content(options), "settings": said | {"device": device.device}}


@cache
def versions() -> dict[str, str]:
    """Return the versions that decide a result, without importing what they are of; asked for with each artifact."""
    return {"tf1lift": version("tf1lift"), "tensorflow": tensorflow_version()}


def tensorflow_version() -> str:
    """Return the installed TensorFlow's version, empty where there is none."""
    for package in TENSORFLOW_PACKAGES:
        with suppress(PackageNotFoundError):
            return version(package)
    return ""


def _by_content(options: ArtifactOptions) -> ArtifactOptions:
    """Return the options with files named by their digests."""
    return replace(
        options,
        samples=_content(options.samples),
        goldens=_content(options.goldens),
        op_libraries=tuple(parse_op_library(library).content for library in options.op_libraries),
        graph=_content(options.graph),
        architecture=_architecture(options.architecture),
        rules=_content(options.rules),
    )


def _architecture(text: str) -> str:
    return text if not text or is_scheme(text) else parse_user_function(text).content


def _content(path: str) -> str:
    return digest_of(Path(path), path).sha256 if path else ""
