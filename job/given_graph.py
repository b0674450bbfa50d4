"""The graph that a user gives to a checkpoint that has none: a file, or a function, and rules for its names."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import structlog

from job.errors import NoInput, UsageError
from job.nearest import question_or
from job.pulling import beside, pull_file
from job.records import Artifact, ArtifactOptions, Format
from job.renaming import load_rules
from job.settings import Settings
from job.user_function import find_user_function, is_scheme, parse_user_function

log = structlog.get_logger()

_RULES: Final = "give a graph, or the function that builds it: names of architectures that the job knows need no rules"


def with_given_graph(
    options: ArtifactOptions, settings: Settings, artifact: Artifact, scratch: Path
) -> ArtifactOptions:
    """Return what is said of an artifact with its graph found, and pulled where it is a file.

    A manifest's entry comes before the settings, which are for every checkpoint without a MetaGraph.
    Raises `UsageError` for what contradicts itself or is not there, and for an entry whose artifact has its own graph.
    """
    _check(settings.graph, settings.architecture, "")
    _check(options.graph, options.architecture, settings.manifest)
    if settings.rules and not (settings.manifest or _takes_rules(settings.graph, settings.architecture)):
        raise UsageError("--rules without a graph of yours", remedy=_RULES)
    if artifact.format is not Format.CHECKPOINT:
        _tell_unused(options, settings, artifact)
        return replace(options, graph="", architecture="", rules="")
    is_told = bool(options.graph or options.architecture)
    graph = _uri(options.graph, settings) or ("" if is_told else settings.graph)
    architecture = options.architecture or ("" if is_told else settings.architecture)
    takes_rules = _takes_rules(graph, architecture)
    if options.rules and not takes_rules:
        raise UsageError("rules without a graph of yours", where=settings.manifest, remedy=_RULES)
    if settings.rules and not takes_rules:
        log.info("rules_not_used", artifact=artifact.name, cause="it has no graph of yours")
    rules = _uri(options.rules, settings) or settings.rules
    return replace(
        options,
        graph=_pulled(graph, scratch) if graph else "",
        architecture=_found(architecture) if architecture else "",
        rules=_checked_rules(rules, scratch) if rules and takes_rules else "",
    )


def _takes_rules(graph: str, architecture: str) -> bool:
    """Whether a graph's names are the user's: what the job knows, it knows with its names."""
    return bool(graph or (architecture and not is_scheme(architecture)))


def _check(graph: str, architecture: str, where: str) -> None:
    if graph and architecture:
        raise UsageError(
            "a checkpoint's graph is given twice, as a file and as a function",
            where=where,
            remedy="give either `graph` or `architecture`",
        )
    if architecture and not is_scheme(architecture):
        parse_user_function(architecture)


def _found(architecture: str) -> str:
    """Return where a function is; the names of architectures are the engine's to know."""
    return architecture if is_scheme(architecture) else find_user_function(architecture)


def _tell_unused(options: ArtifactOptions, settings: Settings, artifact: Artifact) -> None:
    """Refuse what was said of this artifact, and note what was said of all: it is for the others."""
    if artifact.format in (Format.ARCHIVE, Format.UNREADABLE):
        return
    if options.graph or options.architecture or options.rules:
        raise UsageError(
            f"the manifest gives a graph to {artifact.name}, which has its own",
            where=settings.manifest,
            remedy="let `match` fit checkpoints without a graph alone",
        )
    if settings.graph or settings.architecture:
        log.info("given_graph_not_used", artifact=artifact.name, cause="it has a graph of its own")


def _uri(name: str, settings: Settings) -> str:
    return beside(settings.manifest, name) if name else ""


@cache
def _pulled(uri: str, scratch: Path) -> str:
    """Pull a file once in a run."""
    try:
        return str(pull_file(uri, scratch))
    except NoInput as error:
        remedy = question_or(error.remedy, "check --graph and --rules; in the manifest they are relative to it")
        raise UsageError("there is no such file", where=uri, remedy=remedy) from error


def _checked_rules(uri: str, scratch: Path) -> str:
    path = _pulled(uri, scratch)
    load_rules(Path(path).read_text(encoding="utf-8", errors="replace"), uri)
    return path
