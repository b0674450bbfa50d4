"""What ``inspect`` prints: a table of what is there, and a tree of what is in each artifact."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from job import wording
from job.console.printing import Row, drawn, print_drawn, print_line, print_table, safe
from job.forms import is_bare
from job.inspection import Inspected
from job.records import Artifact, Finding, Format, Listing, Signature, SourceSummary

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

STYLES: Final = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def print_listing(listing: Listing) -> None:
    """Print the artifacts with what a run would do with each, then what is no part of any, with the reason."""
    if listing.artifacts:
        head = ("artifact", "format", "size", "what would be done")
        print_table(head, [_row(artifact) for artifact in listing.artifacts])
    else:
        print_line("No TF1 model found.")
    if listing.left_alone:
        print_line("")
        print_table(("left alone", "reason"), [(left.key, left.reason) for left in listing.left_alone])


def print_details(one: Inspected) -> None:
    """Print what is in one artifact, what its owner should know of it, and at last whether it will convert."""
    from rich.tree import Tree  # noqa: PLC0415 - a listing alone needs none

    artifact = one.artifact
    tree = Tree(_text(("bold", artifact.name), ("", f"{_format(artifact)}, {wording.size(artifact.size_bytes)}")))
    if one.summary is not None:
        _add_summary(tree, one.summary)
    tree.add(_verdict(one))
    print_drawn(f"\n{drawn(tree)}")


def _add_summary(tree: "Tree", summary: SourceSummary) -> None:
    if summary.node_count:
        tree.add(_text(("", f"produced by {summary.producer or 'an unnamed version'}; {summary.node_count:,} nodes")))
    if summary.signatures:  # else it is not known which variables the model needs
        size = wording.size(summary.variables_bytes)
        tree.add(_text(("", f"{summary.variable_count:,} variables, {size}")))
    for signature in summary.signatures:
        branch = tree.add(_text(("bold", f"signature {signature.key}"), ("dim", f"({signature.method})")))
        for line in _aligned(_tensor_rows(signature)):
            branch.add(_text(("", line)))
    for finding in wording.weightiest_first(summary.findings):
        _add_finding(tree, finding)


def _add_finding(tree: "Tree", finding: Finding) -> None:
    said = ("", f"{finding.cause} [{finding.code}]")
    branch = tree.add(_text((STYLES[finding.severity], f"{finding.severity}:"), said))
    if finding.remedy:
        branch.add(_text(("", finding.remedy)))


def _verdict(one: Inspected) -> "Text":
    error = one.error
    if error is None:
        return _text(("green", "will convert"))
    why = f"code {error.exit_code} ({error.code_name}): {wording.error(error)}"
    return _text(("bold red", "will not convert,"), ("", why))


def _text(*parts: tuple[str, str]) -> "Text":
    """Return words, each with its style, as they can be shown."""
    from rich.text import Text  # noqa: PLC0415 - a listing alone needs none

    return Text(" ").join(Text(safe(words), style) for style, words in parts)


def _aligned(rows: Sequence[Row]) -> Iterator[str]:
    kept = [tuple(map(safe, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
    for row in kept:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _tensor_rows(signature: Signature) -> list[Row]:
    roles = (("input", signature.inputs), ("output", signature.outputs))
    return [(role, spec.key, wording.tensor(spec), spec.tensor) for role, specs in roles for spec in specs]


def _format(artifact: Artifact) -> str:
    return wording.FORMAT_NAMES[artifact.format]


def _row(artifact: Artifact) -> Row:
    problem = artifact.problem
    plan = "open, and convert what it holds" if artifact.format is Format.ARCHIVE else "convert, verify, publish"
    if is_bare(artifact):
        plan = "a checkpoint without its graph: convert, if its architecture is known"
    if problem:
        plan = f"nothing, code {problem.exit_code}: {wording.error(problem)}"
    return (artifact.name, _format(artifact), wording.size(artifact.size_bytes), plan)
