"""Answer an artifact's calls by TensorFlow 1 and write them down as ``golden.npz`` and ``case.json``."""

from __future__ import annotations  # Python 3.7 runs this

import base64
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf  # noqa: TID253 - it is TensorFlow 1 that answers
from google.protobuf import text_format

from tests.goldens.artifacts import on_one_thread


@dataclass(frozen=True)
class Call:
    """Values to feed and what to fetch, by argument of `signature` or, without one, by op or tensor."""

    feeds: dict[str, Any]
    fetches: tuple[str, ...]
    name: str = "default"
    signature: str = ""
    tags: tuple[str, ...] = ("serve",)


@dataclass(frozen=True)
class Case:
    """What a case holds and what must become of it.

    `expect` is ``load`` (its calls have goldens), ``refuse`` or ``error``. Of `file`, `prefix` and
    `path`, the one that `format` has is set.
    """

    format: str
    notes: str
    expect: str = "load"
    file: str = ""
    prefix: str = ""
    path: str = ""
    calls: tuple[Call, ...] = ()


def record(folder: Path, case: Case) -> None:
    """Write what the artifact in `folder` answers when TensorFlow 1 opens it afresh."""
    arrays: dict[str, Any] = {}
    document = {
        "case": folder.name,
        "format": case.format,
        "expect": case.expect,
        "producer": f"tensorflow {tf.__version__}, CPython {sys.version.split()[0]}",
        "notes": case.notes,
        **{key: getattr(case, key) for key in ("file", "prefix", "path") if getattr(case, key)},
        "calls": [_answer(folder, case, call, arrays) for call in case.calls],
    }
    if arrays:
        np.savez_compressed(str(folder / "golden.npz"), **arrays)
    document["files"] = {str(p.relative_to(folder)): p.stat().st_size for p in sorted(folder.rglob("*")) if p.is_file()}
    (folder / "case.json").write_text(json.dumps(document, indent=1) + "\n")


def _answer(folder: Path, case: Case, call: Call, arrays: dict[str, Any]) -> dict[str, Any]:
    with _opened(folder, case, call) as (session, meta_graph):
        signed = meta_graph.signature_def[call.signature] if call.signature else None
        feeds = {key: signed.inputs[key].name if signed else _tensor(key) for key in call.feeds}
        fetches = {key: signed.outputs[key].name if signed else _tensor(key) for key in call.fetches}
        answers = session.run(fetches, {feeds[key]: value for key, value in call.feeds.items()})
    about = {"signature": call.signature, "tags": list(call.tags)} if signed else {}
    return {
        "name": call.name,
        **about,
        "feeds": {key: _keep("in", key, tensor, call.feeds[key], arrays) for key, tensor in feeds.items()},
        "fetches": {key: _keep("out", key, tensor, answers[key], arrays) for key, tensor in fetches.items()},
    }


def _tensor(name: str) -> str:
    return name if ":" in name else name + ":0"


def _keep(side: str, key: str, tensor: str, value: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    array, encoding = np.asarray(value), {}
    if array.dtype.kind == "O":
        if any(b"\0" in one for one in array.ravel()):  # which NumPy drops at an item's end
            array, encoding = np.vectorize(base64.b64encode, otypes=[object])(array), {"encoding": "base64"}
        array = np.asarray(array.tolist(), dtype=np.bytes_)
    stored = side + "_" + key.replace("/", "_").replace(" ", "_")
    while stored in arrays:
        stored += "_"
    arrays[stored] = array
    dtype = "string" if array.dtype.kind == "S" else array.dtype.name
    return {"tensor": tensor, "key": key, "dtype": dtype, "shape": list(array.shape), "npz": stored, **encoding}


@contextmanager
def _opened(folder: Path, case: Case, call: Call) -> Iterator[tuple[Any, Any]]:
    with tf.Graph().as_default(), tf.Session(config=on_one_thread()) as session:
        if case.path:
            yield session, tf.saved_model.load(session, list(call.tags), str(folder / case.path))
        elif case.prefix:
            saver = tf.train.import_meta_graph(str(folder / (case.prefix + ".meta"))) or tf.train.Saver()
            shards = [path.name[-5:] for path in folder.glob(case.prefix + "-?????-of-*")]  # of the first version
            saver.restore(session, str(folder / case.prefix) + (f"-?????-of-{shards[0]}" if shards else ""))
            yield session, None
        else:
            tf.import_graph_def(read_graph(folder / case.file), name="")
            yield session, None


def read_graph(path: Path) -> Any:
    """Return the GraphDef of a binary or text file."""
    graph = tf.GraphDef()
    if path.suffix == ".pbtxt":
        return text_format.Merge(path.read_text(), graph)
    graph.ParseFromString(path.read_bytes())
    return graph
