"""A TF1 SavedModel: one MetaGraph chosen by its tags, with variables and assets."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from job.engine.formats.base import LoadedMetaGraph, checkpoint_of, parse, unpack_any
from job.errors import BadInput
from job.records import Finding, SourceRequest

MetaGraphDef: TypeAlias = meta_graph_pb2.MetaGraphDef


def read(request: SourceRequest) -> LoadedMetaGraph:
    """Read ``saved_model.pb`` or ``.pbtxt`` and choose the MetaGraph to convert.

    Raises `BadInput` for a file that holds no MetaGraph, and where the choice is the user's.
    """
    directory = Path(request.directory, request.entry)
    path = next(
        (file for file in (directory / "saved_model.pb", directory / "saved_model.pbtxt") if file.exists()), None
    )
    if path is None:
        raise BadInput("no saved_model.pb or saved_model.pbtxt", where=request.entry, remedy="copy the directory again")
    saved_model = parse(path, saved_model_pb2.SavedModel())
    meta_graph, findings = _choose(saved_model, request)
    variables = directory / "variables" / "variables"
    return LoadedMetaGraph(
        meta_graph=meta_graph,
        checkpoint=checkpoint_of(str(variables)) if variables.parent.is_dir() else "",
        assets=dict(_assets(meta_graph, directory)),
        beside=directory,
        findings=findings,
    )


def _choose(
    saved_model: saved_model_pb2.SavedModel, request: SourceRequest
) -> tuple[MetaGraphDef, tuple[Finding, ...]]:
    found = {tuple(sorted(meta.meta_info_def.tags)): meta for meta in saved_model.meta_graphs}
    listed = "; ".join(",".join(tags) or "(none)" for tags in found)
    if not found:
        raise BadInput(
            "the SavedModel holds no MetaGraph", where=request.entry, remedy="it may be a GraphDef under a wrong name"
        )
    wanted = request.options.tags
    if wanted is not None:
        if tuple(sorted(wanted)) not in found:
            raise BadInput(
                f"no MetaGraph is tagged {','.join(wanted) or '(none)'}",
                where=request.entry,
                remedy=f"the SavedModel has: {listed}",
            )
        return found[tuple(sorted(wanted))], ()
    chosen = _by_convention(found)
    if not chosen:
        raise BadInput(
            "several MetaGraphs, none for serving",
            where=request.entry,
            remedy=f"choose tags in the manifest from: {listed}",
        )
    if len(found) == 1:
        return found[chosen[0]], ()
    cause = f"of the tag sets {listed} the job took {','.join(chosen[0]) or '(none)'}"
    return found[chosen[0]], (Finding(code="tags_chosen", cause=cause, remedy="name others by `tags` in the manifest"),)


def _by_convention(found: dict[tuple[str, ...], MetaGraphDef]) -> list[tuple[str, ...]]:
    """Return the tag set for serving: ``serve``, else Hub's empty one, else the only one that is not for training."""
    for tags in (("serve",), ()):
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
            raise BadInput(
                f"the asset {asset.filename!r} lies outside the model",
                where=str(directory.name),
                remedy="it is not read",
            )
        yield asset.tensor_info.name, path
