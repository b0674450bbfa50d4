"""Keras files, assets, archives and names that lead out of where they lie, carry code, or grow without measure."""

import io
import json
import os
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

from tests import hostile
from tests.hostile_corpus import bundle
from tests.hostile_corpus.case import Case, Outside, written
from tests.hostile_corpus.checkpoints import GRAPH, META
from tests.hostile_corpus.text import FLOAT, INPUT, node, quoted

BAD: Final = frozenset({40})
REFUSED: Final = frozenset({42})
EITHER: Final = frozenset({40, 42})
GIB: Final = 2**30


def _keras(path: Path, layer: dict[str, Any], attack: Any = None) -> None:
    """Write a Keras file of one layer; `attack` does something to the group of its weights."""
    import h5py

    model = {"class_name": "Sequential", "config": {"name": "model", "layers": [layer]}}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model).encode()
        file.attrs["keras_version"] = "2.2.4"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"dense"]
        group = weights.create_group("dense")
        group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        group.create_dataset("dense/kernel:0", data=[[1.0, 2.0]] * 3, dtype="f4")
        group.create_dataset("dense/bias:0", data=[0.0, 1.0], dtype="f4")
        if attack:
            attack(h5py, group)


def dense(**said: Any) -> dict[str, Any]:
    """Return the layer that the weights are of."""
    config = {"name": "dense", "units": 2, "batch_input_shape": [None, 3], "activation": "relu"}
    return {"class_name": "Dense", "config": config | said}


def _lambda(function: object, kind: str) -> dict[str, Any]:
    said = {"function": function, "function_type": kind, "output_shape_type": "raw", "batch_input_shape": [None, 3]}
    return {"class_name": "Lambda", "config": {"name": "dense"} | said}


def _named_class(name: str, module: str) -> dict[str, Any]:
    return {"class_name": name, "module": module, "config": {"name": "dense", "args": ["touch /tmp/owned"]}}


def _nested(depth: int) -> dict[str, Any]:
    layer = dense()
    for _ in range(depth):
        layer = {"class_name": "TimeDistributed", "config": {"name": "dense", "layer": layer}}
    return layer


def _bomb(_: Any, group: Any) -> None:
    group.create_dataset("bomb", (2**32,), "f4", chunks=(2**20,), compression="gzip")


def _huge_chunk(_: Any, group: Any) -> None:
    del group["dense/bias:0"]
    data = group.create_dataset("dense/bias:0", (2,), "f4", chunks=(2**29,), maxshape=(None,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(bytes(8)))


def _link(kind: str, secret: str) -> Any:
    def plant(h5py: Any, group: Any) -> None:
        del group["dense/bias:0"]
        if kind == "storage":
            group.create_dataset("dense/bias:0", (2,), "f4", external=[(secret, 0, 8)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((2,), "f4")
            layout[:] = h5py.VirtualSource(secret, "x", (2,))
            group.create_virtual_dataset("dense/bias:0", layout)
        else:
            group["dense/bias:0"] = h5py.SoftLink("/x") if kind == "soft" else h5py.ExternalLink(secret, "/x")

    return plant


_LAYERS: Final[dict[str, tuple[str, frozenset[int], dict[str, Any]]]] = {
    "lambda_bytecode": ("runs code", REFUSED, _lambda(["4wEAAAAAAAAA", None, None], "lambda")),
    "lambda_of_a_name": ("runs code", REFUSED, _lambda("system", "function")),
    "class_of_a_module": ("imports what it names", EITHER, _named_class("Popen", "subprocess")),
    "activation_of_a_module": ("imports what it names", EITHER, dense(activation="os.system")),
    "deep_configuration": ("overflows the stack", BAD, _nested(200)),
    "units_of_8_billion": ("takes all memory", EITHER, dense(units=2**33)),
}
_PLANTED: Final = ("soft", "external", "storage", "virtual")


def _keras_cases() -> tuple[Case, ...]:
    def of(layer: dict[str, Any], attack: Any = None, link: str = "") -> Any:
        def put(directory: Path, outside: Outside) -> None:
            _keras(directory / "model.h5", layer, _link(link, outside.path("secret")) if link else attack)

        return put

    layers = [
        Case(name=f"keras_{name}", tries=tries, codes=codes, write=of(layer))
        for name, (tries, codes, layer) in _LAYERS.items()
    ]
    links = [
        Case(name=f"keras_{link}_link", tries="reads elsewhere", codes=REFUSED, write=of(dense(), link=link))
        for link in _PLANTED
    ]
    bombs = [
        Case(name="keras_shape_bomb", tries="takes all memory", codes=REFUSED, write=of(dense(), _bomb)),
        Case(name="keras_huge_chunk", tries="takes all memory", codes=REFUSED, write=of(dense(), _huge_chunk)),
    ]
    return (*layers, *links, *bombs)


def saved_model(asset: str = "", more: str = "") -> str:
    """Return a SavedModel as text, its variable in a checkpoint; `asset` is the name of a file that it brings along."""
    brought = f'asset_file_def {{ tensor_info {{ name: "path:0" }} filename: {quoted(asset)} }}' if asset else ""
    info = "dtype: DT_FLOAT tensor_shape { dim { size: -1 } dim { size: 2 } }"
    signature = (
        f'signature_def {{ key: "serving_default" value {{ inputs {{ key: "x" value {{ name: "x:0" {info} }} }} '
        f'outputs {{ key: "y" value {{ name: "y:0" {info} }} }} method_name: "tensorflow/serving/predict" }} }}'
    )
    tags = 'meta_info_def { tags: "serve" tensorflow_version: "1.15.5" }'
    return (
        f"saved_model_schema_version: 1 meta_graphs {{ {tags} graph_def {{ {GRAPH} {more} }} {signature} {brought} }}\n"
    )


def write_saved_model(directory: Path, weights: bytes, asset: str = "") -> None:
    """Write a SavedModel with the values of its variable."""
    (directory / "variables").mkdir(parents=True, exist_ok=True)
    (directory / "saved_model.pbtxt").write_text(saved_model(asset))
    index = bundle.table({b"": bundle.header(), b"w": bundle.entry((2, 2), weights)})
    (directory / "variables" / "variables.index").write_bytes(index)
    (directory / "variables" / "variables.data-00000-of-00001").write_bytes(weights)


_WEIGHTS: Final = bundle.floats(1, 2, 3, 4)


def _asset(name: str) -> Any:
    def put(directory: Path, outside: Outside) -> None:
        write_saved_model(directory, _WEIGHTS, name.format(secret=outside.path("secret")))

    return put


def _linked(what: str) -> Any:
    """Return what writes a model of whose files one is a link to a file outside, or a pipe."""

    def put(directory: Path, outside: Outside) -> None:
        write_saved_model(directory, _WEIGHTS)
        data = directory / "variables" / "variables.data-00000-of-00001"
        data.unlink()
        if what == "pipe":
            os.mkfifo(data)
        else:
            data.symlink_to(outside.path("secret"))

    return put


def tar_of(*members: tuple[str, bytes, bytes, str]) -> bytes:
    """Return an archive of (name, kind, content, where a link leads)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, kind, content, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), target
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zip_of(*members: tuple[str, bytes]) -> bytes:
    """Return a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


_GOOD: Final = hostile.SIMPLE.encode()
_REGULAR, _SYMBOLIC, _HARD, _DEVICE = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE

_ARCHIVES: Final[dict[str, tuple[str, frozenset[int], str, Any]]] = {
    "tar_up": (
        "writes outside",
        REFUSED,
        "a.tar.gz",
        lambda _: tar_of(("m.pbtxt", _REGULAR, _GOOD, ""), ("../../up.pb", _REGULAR, _GOOD, "")),
    ),
    "tar_absolute": (
        "writes outside",
        REFUSED,
        "a.tar.gz",
        lambda out: tar_of((out.path("by_tar"), _REGULAR, _GOOD, "")),
    ),
    "tar_through_a_link": (
        "writes outside",
        REFUSED,
        "a.tar.gz",
        lambda out: tar_of(("d", _SYMBOLIC, b"", str(out.directory)), ("d/by_link", _REGULAR, _GOOD, "")),
    ),
    "tar_hard_link": (
        "reads outside",
        REFUSED,
        "a.tar.gz",
        lambda out: tar_of(("m.pbtxt", _HARD, b"", out.path("secret"))),
    ),
    "tar_device": (
        "reads a device",
        frozenset({0, 40}),
        "a.tar.gz",
        lambda _: tar_of(("m.pbtxt", _REGULAR, _GOOD, ""), ("zero.pb", _DEVICE, b"", "")),
    ),
    "tar_bomb": (
        "takes all of the disk",
        REFUSED,
        "a.tar.gz",
        lambda _: tar_of(("m.pb", _REGULAR, bytes(300 * 2**20), "")),
    ),
    "zip_up": ("writes outside", REFUSED, "a.zip", lambda _: zip_of(("m.pbtxt", _GOOD), ("../../up.pb", _GOOD))),
    "zip_bomb": ("takes all of the disk", REFUSED, "a.zip", lambda _: zip_of(("m.pb", bytes(300 * 2**20)))),
    "zip_in_zip": ("unpacks for ever", BAD, "a.zip", lambda _: zip_of(("b.zip", zip_of(("m.pbtxt", _GOOD))))),
    "half_a_zip": ("is read as if whole", BAD, "a.zip", lambda _: zip_of(("m.pbtxt", _GOOD))[:-40]),
}

_NAMED: Final = {
    "control_characters": "a\x1b]0;owned\x07\n.pbtxt",
    "not_unicode": os.fsdecode(b"\xff\xfe.pbtxt"),
    "right_to_left": "a\u202egpj.pbtxt",
    "option": "--dest=..%2f..pbtxt",
    "longest": "n" * 249 + ".pbtxt",
}
"""Sound graphs under names that do something to whoever does not look."""


def _meta(directory: Path, outside: Outside) -> None:
    """Write a checkpoint whose ``checkpoint`` file leads to another one outside."""
    (directory / "model.ckpt.meta").write_text(META)
    (directory / "checkpoint").write_text(f"model_checkpoint_path: {quoted(outside.path('secret'))}\n")


def _with_library(directory: Path, _: Outside) -> None:
    """Write a graph with an op of a library that lies beside it."""
    (directory / "ops.so").write_bytes(b"\x7fELF" + bytes(60))
    (directory / "graph.pbtxt").write_text(INPUT + node("y", "MyOwnOp", "x", T=FLOAT))


CASES: Final = (
    *_keras_cases(),
    Case(name="asset_up", tries="reads a file outside", codes=REFUSED, write=_asset("../../../secret")),
    Case(name="asset_absolute", tries="reads a file outside", codes=REFUSED, write=_asset("{secret}")),
    Case(name="link_to_a_file", tries="reads a file outside", codes=EITHER, write=_linked("link")),
    Case(name="pipe", tries="waits for ever", codes=BAD, write=_linked("pipe")),
    Case(name="checkpoint_elsewhere", tries="reads a file outside", codes=BAD, write=_meta),
    Case(
        name="op_library",
        tries="loads a library of its own",
        codes=BAD,
        write=_with_library,
    ),
    *(
        Case(name=name, tries=tries, codes=codes, write=written(file, data))
        for name, (tries, codes, file, data) in _ARCHIVES.items()
    ),
    *(
        Case(name=f"name_{name}", tries="writes somewhere else", codes=frozenset({0, 40}), write=written(file, _GOOD))
        for name, file in _NAMED.items()
    ),
)
