import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from job.findings import FINDINGS, as_markdown
from job.inspection import Inspected, Inspection
from job.records import Artifact, ErrorRecord, Finding, Signature, SourceSummary, TensorSpec

ROOT = Path(__file__).parent.parent
DOCUMENTATION = ROOT / "docs" / "findings.md"


def findings_made() -> Iterator[tuple[str, ast.Call]]:
    """Yield (where, call) for every `Finding` that the job makes."""
    for path in sorted((ROOT / "job").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def written(call: ast.Call, keyword: str, default: str = "") -> set[str]:
    """Return the strings that a call may give an argument."""
    given = next((one.value for one in call.keywords if one.arg == keyword), ast.Constant(default))
    chosen = [given.body, given.orelse] if isinstance(given, ast.IfExp) else [given]
    return {one.value for one in chosen if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_every_code_is_in_the_table() -> None:
    """Each finding names its code where it is made, and the table has it."""
    unknown = {where: written(call, "code") or "no literal" for where, call in findings_made()}
    assert {where: codes for where, codes in unknown.items() if not set(codes) <= FINDINGS.keys()} == {}


def test_the_table_has_no_other_codes() -> None:
    """What nothing in the job says any more does not stay in the documentation."""
    made = set[str]().union(*(written(call, "code") for _, call in findings_made()))
    assert FINDINGS.keys() - made == set()


def test_severity_is_the_table_s() -> None:
    """A code weighs the same wherever it is found."""
    for where, call in findings_made():
        severities = {FINDINGS[code].severity for code in written(call, "code")}
        assert written(call, "severity", "info") == severities, where


def test_documentation_is_up_to_date() -> None:
    """The table in docs/findings.md is what ``python -m job.findings`` prints."""
    assert DOCUMENTATION.read_text().endswith(as_markdown())


def test_documented_keys_are_those_of_the_document() -> None:
    """``inspect --json`` has no key that the documentation does not name."""
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", DOCUMENTATION.read_text()))))
    for record in (Inspection, Inspected, Artifact, SourceSummary, Signature, TensorSpec, Finding, ErrorRecord):
        assert {field.name for field in dataclasses.fields(record)} <= told, record.__name__
