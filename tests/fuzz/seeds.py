"""Small whole models of every format: what a mutant was before it was damaged."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from google.protobuf import text_format
from tensorflow.core.framework import graph_pb2

from tests.jobs import GOLDENS

Files = Mapping[str, bytes]
"""A model's files by their paths below it."""

NOT_THE_MODEL: Final = ("case.json", "golden.npz", "answers.npz")

DIRECTORIES: Final = (
    "cond_frozen",
    "while_loop_frozen",
    "v1_table_saved_model",
    "start_values_saved_model",
    "functions_saved_model",
    "odd_signatures_saved_model",
    "ref_variables_saved_model",
    "resource_variables_saved_model",
    "vocabulary_saved_model",
    "multi_signature_saved_model",
    "pbtxt_saved_model",
    "keep_prob_checkpoint",
    "mutable_tables_checkpoint",
    "object_checkpoint",
    "cond_checkpoint",
    "ref_variables_checkpoint",
    "resource_variables_checkpoint",
    "iterator_checkpoint",
    "queue_checkpoint",
    "sharded_checkpoint",
    "first_version_sharded_checkpoint",
)
KERAS: Final = ("1.2.2/theano_order_1.h5", "2.2.4/bilinear.h5", "2.2.4/stateful.h5", "2.2.4-tf/shared_and_nested.h5")


def _directory(name: str) -> Files:
    """Return a golden's files, unpacked where it is kept compressed."""
    home = GOLDENS / name
    paths = [path for path in sorted(home.rglob("*")) if path.is_file() and path.name not in NOT_THE_MODEL]
    read = {path.relative_to(home).as_posix(): path.read_bytes() for path in paths}
    return {_plain(key): gzip.decompress(data) if key != _plain(key) else data for key, data in read.items()}


def _plain(key: str) -> str:
    return key.removesuffix(".gz")


def _keras(name: str) -> Files:
    return {Path(name).name: (GOLDENS / "keras" / name).read_bytes()}


def _text() -> Files:
    graph = graph_pb2.GraphDef.FromString((GOLDENS / "cond_frozen" / "frozen.pb").read_bytes())
    return {"frozen.pbtxt": text_format.MessageToString(graph).encode()}


def _zip() -> Files:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for key, data in sorted(_directory("ref_variables_saved_model").items()):
            packed.writestr(zipfile.ZipInfo(key), data)
    return {"model.zip": archive.getvalue()}


def _tar() -> Files:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as packed:
        for key, data in sorted(_directory("keep_prob_checkpoint").items()):
            member = tarfile.TarInfo(key)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return {"model.tar.gz": gzip.compress(archive.getvalue(), mtime=0)}


def _hub() -> Files:
    """Return a Hub module of version 1: a SavedModel with a word beside it."""
    files = {key.removeprefix("saved_model/"): data for key, data in _directory("ref_variables_saved_model").items()}
    return {**files, "tfhub_module.pb": b"\x08\x03"}


SEEDS: Final[Mapping[str, Callable[[], Files]]] = {
    **{name: (lambda name=name: _directory(name)) for name in DIRECTORIES},  # type: ignore[misc]  # a default binds it
    **{f"keras/{name}": (lambda name=name: _keras(name)) for name in KERAS},  # type: ignore[misc]
    "text_frozen": _text,
    "zip": _zip,
    "tar_gz": _tar,
    "hub_module": _hub,
}


@cache
def files_of(seed: str) -> Files:
    """Return the files of one seed."""
    return SEEDS[seed]()
