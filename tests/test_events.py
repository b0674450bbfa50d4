import ast
import json
import re
from collections.abc import Iterator
from typing import Final

import pytest

from job import events
from job.events import ALWAYS, EVENTS, only_declared
from tests.jobs import ROOT

LEVELS: Final = ("debug", "info", "warning", "error", "exception", "critical")


def logged() -> Iterator[tuple[str, frozenset[str]]]:
    """Yield every event that the product logs, with the fields that its call names."""
    for path in sorted((ROOT / "job").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(call, ast.Call)
                and call.args
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in LEVELS
            ):
                names = [node.value for node in ast.walk(call.args[0]) if isinstance(node, ast.Constant)]
                if ast.unparse(call.func.value) == "log":
                    fields = frozenset(keyword.arg for keyword in call.keywords if keyword.arg)
                    yield from ((str(name), fields) for name in names)


def test_every_event_is_declared_and_every_declaration_used() -> None:
    """Names that dashboards and alerts rely on are written down, and none is left behind."""
    assert {name for name, _ in logged()} | {"library_message"} == set(EVENTS)


@pytest.mark.parametrize(("name", "fields"), sorted(logged(), key=str))
def test_every_field_is_declared(name: str, fields: frozenset[str]) -> None:
    """A field that is not declared would be left out of the log."""
    assert fields <= {*ALWAYS, *EVENTS[name].fields}


def test_names_are_stable_words() -> None:
    """Names of events and fields can be searched for, and are no sentences; each event says what it means."""
    names = [*EVENTS, *(field for event in EVENTS.values() for field in event.fields)]
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)] == []
    assert all(event.says for event in EVENTS.values())


def test_what_is_not_declared_is_left_out_and_named() -> None:
    """What somebody logs in passing does not get out; that there was something does."""
    event = only_declared(None, "info", {"event": "device_chosen", "device": "cpu", "environ": {"KEY": "canary"}})
    assert event == {"event": "device_chosen", "device": "cpu", "undeclared_fields": ["environ"]}
    assert "canary" not in json.dumps(only_declared(None, "info", {"event": "unheard_of", "value": "canary"}))


def test_documentation_lists_the_events() -> None:
    """docs/events.md is what ``python -m job.events`` prints."""
    assert events.table() in (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
