"""A TF1 SavedModel: one MetaGraph chosen by its tags, with variables and assets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from job.engine.formats.base import LoadedMetaGraph, checkpoint_of, parse, unpack_any
from job.errors import BadInput, Refused
from job.nearest import meant
from job.records import Finding
from job.requests import SourceRequest
from job.wording import shown

MetaGraphDef: TypeAlias = meta_graph_pb2.MetaGraphDef
Tags: TypeAlias = tuple[str, ...]
ByTags: TypeAlias = dict[Tags, MetaGraphDef]

FUNCTION_CALLS: Final = ("StatefulPartitionedCall", "PartitionedCall")


def read(request: SourceRequest) -> LoadedMetaGraph:
    """Read ``saved_model.pb`` or ``.pbtxt`` and choose the MetaGraph to convert.

    Raises `BadInput` for a file that holds no MetaGraph, for a TF2 one, and where the choice is the user's.
    """
    directory = Path(request.directory, request.entry)
    path = next(
        (file for file in (directory / "saved_model.pb", directory / "saved_model.pbtxt") if file.exists()), None
    )
    if path is None:
        raise BadInput("no saved_model.pb or saved_model.pbtxt", where=request.entry, remedy="copy the directory again")
    saved_model = parse(path, saved_model_pb2.SavedModel())
    meta_graph, findings = _choose(saved_model, request)
    if _is_of_tf2(meta_graph):
        raise BadInput(
            "this is a TF2 SavedModel already",
            where=request.entry,
            remedy="there is nothing to convert: load it as it is with tf.saved_model.load",
        )
    variables = directory / "variables" / "variables"
    return LoadedMetaGraph(
        meta_graph=meta_graph,
        checkpoint=checkpoint_of(str(variables)) if variables.parent.is_dir() else "",
        assets=dict(_assets(meta_graph, directory)),
        beside=directory,
        findings=(*findings, *_left_out(directory)),
    )


def _left_out(directory: Path) -> Iterator[Finding]:
    """Say which files are not published: what lies in ``assets.extra`` is for a server, and no part of the graph."""
    extra = directory / "assets.extra"
    names = [path.relative_to(extra).as_posix() for path in sorted(extra.rglob("*")) if path.is_file()]
    if names:
        yield Finding(
            code="extra_assets_left_out",
            cause=f"files for a server in assets.extra are not published: {shown(names, 3)}",
            remedy="copy them beside the new model if your server reads them; --serving-warmup writes new requests",
        )


def _choose(
    saved_model: saved_model_pb2.SavedModel, request: SourceRequest
) -> tuple[MetaGraphDef, tuple[Finding, ...]]:
    """Return the MetaGraph that the user names, else the one for serving, and what was decided for the user."""
    found = {tuple(sorted(meta.meta_info_def.tags)): meta for meta in saved_model.meta_graphs}
    if not found:
        raise BadInput(
            "the SavedModel holds no MetaGraph", where=request.entry, remedy="it may be a GraphDef under a wrong name"
        )
    if request.options.tags is not None:
        return found[_named(found, request.options.tags, request.entry)], ()
    conventional = _by_convention(found)
    if not conventional:
        what, remedy = "several MetaGraphs, none for serving", f"choose tags in the manifest from: {_listed(found)}"
        raise BadInput(what, where=request.entry, remedy=remedy)
    chosen = conventional[0]
    return found[chosen], _said(found, chosen)


def _named(found: ByTags, tags: Tags, entry: str) -> Tags:
    wanted = tuple(sorted(tags))
    if wanted not in found:
        what = f"no MetaGraph is tagged {_shown(tags)}"
        known = {tag for one in found for tag in one}
        close = next((one for tag in tags if tag not in known and (one := meant(tag, known))), "")
        remedy = f"the SavedModel has: {_listed(found)}"
        raise BadInput(what, where=entry, remedy=f"{close} {remedy}".strip())
    return wanted


def _said(found: ByTags, chosen: Tags) -> tuple[Finding, ...]:
    if len(found) == 1:
        return ()
    cause = f"of the tag sets {_listed(found)} the job took {_shown(chosen)}"
    return (Finding(code="tags_chosen", cause=cause, remedy="name others by `tags` in the manifest"),)


def _shown(tags: Tags) -> str:
    return ",".join(tags) or "(none)"


def _listed(found: ByTags) -> str:
    return "; ".join(map(_shown, found))


def _is_of_tf2(meta_graph: MetaGraphDef) -> bool:
    """Tell what `tf.saved_model.save` wrote: objects, whose values a function restores and no node of a saver.

    Objects alone do not tell, nor does the release: TF1's Keras wrote them with a TF1 graph, and
    TF2 still writes TF1 graphs.
    """
    ops = {node.name: node.op for node in meta_graph.graph_def.node}
    restore = meta_graph.saver_def.restore_op_name
    return bool(meta_graph.object_graph_def.nodes) and ops.get(restore, "") in FUNCTION_CALLS


def _by_convention(found: ByTags) -> list[Tags]:
    """Return the tag set for serving: ``serve``, else Hub's empty one, else the only one that is not for training."""
    for tags in (("serve",), tuple[str, ...]()):
        if tags in found:
            return [tags]
    rest = [tags for tags in found if "train" not in tags] if len(found) > 1 else list(found)
    return rest if len(rest) == 1 else []


def _assets(meta_graph: MetaGraphDef, directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield (tensor, file); TF1 records assets in a collection, not in ``asset_file_def``."""
    packed = (
        meta_graph.collection_def["saved_model_assets"].any_list.value
        if "saved_model_assets" in meta_graph.collection_def
        else []
    )
    for asset in [*meta_graph.asset_file_def, *(unpack_any(one, meta_graph_pb2.AssetFileDef()) for one in packed)]:
        path = directory / "assets" / asset.filename
        if not path.resolve().is_relative_to(directory.resolve()):
            raise Refused(
                f"the asset {asset.filename!r} lies outside the model",
                where=str(directory.name),
                remedy="it is not read; export the model with its assets inside",
            )
        yield asset.tensor_info.name, path
