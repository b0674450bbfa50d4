"""What a user says about single artifacts: a YAML file, read strictly.

    artifacts:
    - match: resnet50/*            # a glob on the artifact's name, or on a directory that it lies in
      tags: [serve]                # which MetaGraph
      signatures: [predict]        # which signatures
      inputs: [images:0]           # tensors; or {images: "input/x:0"}, to say how they are called
      outputs: {logits: "fc/BiasAdd:0"}
      assets: {/gone/vocab.txt: resnet50/vocab.txt}  # path in the graph: key below the source
      tolerance: 1e-4
      batch_sizes: [1, 32]
      samples: inputs.npz
      goldens: outputs.npz
      allow_nonfinite: true
      allow_ops: [FixedUnigramCandidateSampler]  # as --allow-op does
      sha256: {resnet50/frozen.pb: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}  # what it must be
    - match: bare/*                # checkpoints without a graph: it is in a file, or built by a function
      graph: model.meta
      rules: rules.yaml

All but `match` may be absent. Of several entries that fit an artifact the first holds, and alone.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import yaml
from cattrs import BaseValidationError, Converter, transform_error

from job.errors import UsageError
from job.naming import matches
from job.nearest import meant
from job.records import ArtifactOptions
from job.yaml_errors import told

T = TypeVar("T")

_KEYS: Final = ("match", *(option.name for option in fields(ArtifactOptions)))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is said about the artifacts whose names `match` fits."""

    match: str
    options: ArtifactOptions


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The entries in the order of the file; none if there is no manifest."""

    entries: tuple[Entry, ...] = ()

    def options_for(self, name: str) -> ArtifactOptions:
        """Return the options of the first entry that fits an artifact's name; the defaults if none does."""
        options = (entry.options for entry in self.entries if matches(name, entry.match))
        return next(options, ArtifactOptions())

    def unmatched(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the globs that fit none of these names: misspelt, most likely."""
        known = tuple(names)
        return tuple(entry.match for entry in self.entries if not any(matches(name, entry.match) for name in known))


def load_manifest(text: str, where: str) -> Manifest:
    """Return the manifest in `text`; `where` says in messages which file that is.

    Raises `UsageError` for what is no YAML, for an unknown or repeated key and for a value of a
    wrong type or range, with its line.
    """
    with told("the manifest is", where, _WRITE):
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        listed = _members(root, ("artifacts",), where).get("artifacts")
        if not isinstance(listed, yaml.SequenceNode):
            raise _wrong("the manifest holds no list named 'artifacts'", root, where)
        return Manifest(entries=tuple(_entry(loader, node, where) for node in listed.value))


_WRITE: Final = "write, for instance: artifacts: [{match: 'resnet50/*', tags: [serve]}]"


def _wrong(what: str, node: yaml.Node | None, where: str, remedy: str = _WRITE) -> UsageError:
    line = node.start_mark.line + 1 if node else 1
    return UsageError(what, where=f"{where}:{line}", remedy=remedy)


def _members(node: yaml.Node | None, known: Sequence[str], where: str) -> dict[str, yaml.Node]:
    """Return a mapping's values by its keys, each of which is known and there once."""
    if not isinstance(node, yaml.MappingNode):
        raise _wrong("the manifest is empty" if node is None else "expected a mapping of keys to values", node, where)
    members: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = str(key.value)
        if name not in known:
            remedy = meant(name, known, f"the keys are {', '.join(known)}")
            raise _wrong(f"unknown key {name!r}", key, where, remedy)
        if name in members:
            raise _wrong(f"{name!r} is there twice", key, where, "leave one of them")
        members[name] = value
    return members


def _entry(loader: yaml.SafeLoader, node: yaml.Node, where: str) -> Entry:
    members = _members(node, _KEYS, where)
    values: dict[str, Any] = loader.construct_document(node)
    match = values.pop("match", None)
    if not isinstance(match, str) or not match:
        raise _wrong("an entry has no 'match'", node, where, "add match: and a glob on the artifact's name")
    for key in ("inputs", "outputs"):
        if isinstance(values.get(key), list):
            values[key] = _keyed(values[key])
    if "target_tf" in members:  # as it is written: YAML reads 2.10 without quotes as 2.1
        values["target_tf"] = members["target_tf"].value
    try:
        options = _CONVERTER.structure(values, ArtifactOptions)
    except BaseValidationError as error:
        what, _, path = transform_error(error, format_exception=lambda cause, _: str(cause))[0].partition(" @ $.")
        key = (re.match(r"\w+", path) or [""])[0]
        raise _wrong(f"{key}: {what}", members.get(key, node), where, "correct the value") from error
    for key, fault in _out_of_range(options):
        raise _wrong(f"{key}: {fault}", members[key], where, "give a value in that range")
    return Entry(match=match, options=options)


def _out_of_range(options: ArtifactOptions) -> Iterator[tuple[str, str]]:
    if options.tolerance is not None and not 0 <= options.tolerance < math.inf:
        yield "tolerance", f"expected a number from 0 on, found {options.tolerance}"
    if any(size < 1 for size in options.batch_sizes):
        yield "batch_sizes", "expected numbers from 1 on"
    if any(re.fullmatch("[0-9A-Fa-f]{64}", digest) is None for digest in options.sha256.values()):
        yield "sha256", "expected 64 hexadecimal digits for each key"


def _keyed(tensors: Sequence[Any]) -> dict[str, Any]:
    """Give each tensor of a list the last part of its name, made legal for an argument and unique."""
    keyed: dict[str, Any] = {}
    for tensor in tensors:
        last = str(tensor).partition(":")[0].rpartition("/")[2]
        plain = re.sub(r"\W+", "_", last, flags=re.ASCII).strip("_") or "tensor"
        stem = plain if plain[0].isalpha() else f"tensor_{plain}"
        names = (stem, *(f"{stem}_{number}" for number in range(1, len(tensors))))
        keyed[next(name for name in names if name not in keyed)] = tensor
    return keyed


def _exactly(value: Any, kind: type[T]) -> T:
    """Keep cattrs from coercing: it would read ``allow_nonfinite: "no"`` as true."""
    if type(value) is not kind:
        raise TypeError(f"expected {_KINDS[kind]}, found {value!r}")
    return value


_KINDS: Final[dict[type, str]] = {str: "text", int: "a whole number", bool: "true or false"}


def _choice(value: Any, kind: Any) -> Any:
    """Undo what YAML 1.1 makes of choices without quotes: of ``on`` and ``off`` a truth value, of ``2.4`` a number."""
    said = ("off", "on")[value] if type(value) is bool else str(value)
    if said not in get_args(kind):
        question = meant(said, get_args(kind))
        raise ValueError(f"expected {', '.join(get_args(kind))}, found {value!r}{question and f'; {question}'}")
    return said


def _float(value: Any, _: type[float]) -> float:
    if type(value) in (int, float):
        return float(value)
    if isinstance(value, str):  # YAML 1.1 reads 1e-5, which lacks a point, as text
        with suppress(ValueError):
            return float(value)
    raise TypeError(f"expected a number, found {value!r}")


def _tuple(value: Any, kind: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {value!r}")
    return tuple(_CONVERTER.structure(item, get_args(kind)[0]) for item in value)


def _names(value: Any, _: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(f"expected a mapping of names to names, found {value!r}")
    return {_exactly(key, str): _exactly(name, str) for key, name in value.items()}


def _is_made_of(origin: Any, kind: Any) -> bool:
    return get_origin(kind) is origin


def _converter() -> Converter:
    converter = Converter()
    converter.register_structure_hook(float, _float)
    for kind in _KINDS:
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook_func(partial(_is_made_of, Literal), _choice)
    converter.register_structure_hook_func(partial(_is_made_of, tuple), _tuple)
    converter.register_structure_hook_func(partial(_is_made_of, dict), _names)
    return converter


_CONVERTER: Final = _converter()
