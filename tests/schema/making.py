"""JSON Schemas of the documents that the job writes, made from their records.

A schema speaks of what `job.codec` writes: every member is there, nothing else is, and a number that JSON has not
is a word. Whoever validates needs none of this package: the schemas lie in the package and in ``docs``.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from job.inspection import Inspection
from job.records import ArtifactReport
from job.summary import RunSummary

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDERS: Final = (ROOT / "job" / "report" / "schema", ROOT / "docs" / "schema")
"""Where the schemas lie: for whoever has the package, and for whoever reads."""

Schema = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A kind of published document: its name, the file's name, and the record that it is."""

    name: str
    file: str
    record: type[Any]

    def schema(self) -> Schema:
        """Return the schema of what is written now."""
        made = TypeAdapter(self.record).json_schema(mode="serialization", schema_generator=_AsWritten)
        version = made["properties"]["schema_version"]["const"]
        told = {"title": f"{self.file} of tf1lift, version {version}", "$id": f"urn:tf1lift:{self.name}:{version}"}
        return {"$schema": Draft202012Validator.META_SCHEMA["$id"]} | made | told


DOCUMENTS: Final = (
    Document(name="report", file="report.json", record=ArtifactReport),
    Document(name="run", file="shard-<n>.json", record=RunSummary),
    Document(name="inspect", file="inspect --json", record=Inspection),
)


def file_of(document: Document, schema: Schema) -> str:
    """Return the name of a schema's file, which holds its version."""
    return f"{document.name}-{schema['properties']['schema_version']['const']}.json"


def text_of(schema: Schema) -> str:
    """Return what is written into a schema's file."""
    return json.dumps(schema, indent=1, sort_keys=True, allow_nan=False) + "\n"


def losses(old: Schema, new: Schema) -> list[str]:
    """Return what a reader of documents by the `old` schema would miss or stumble over in those by the `new` one.

    Members may come, as readers pass over what they do not know, and so may words of an enumeration.
    """
    return list(_losses(_followed(old, old.get("$defs", {})), _followed(new, new.get("$defs", {})), "the document"))


def _losses(old: Schema, new: Schema, where: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before:
        if name in after:
            yield from _losses(before[name], after[name], f"{name} of {where}")
        else:
            yield f"{where} has no {name}"
    yield from (f"{where} is never {word}" for word in old.get("enum", ()) if word not in new.get("enum", ()))
    for one, other in zip(_parts(old), _parts(new), strict=False):
        yield from _losses(one, other, where)
    if len(_parts(old)) != len(_parts(new)) or _kind(old) != _kind(new):
        yield f"{where} is of another kind"


def _parts(schema: Schema) -> list[Schema]:
    """Return the schemas of what is in a list or a mapping, or of what else something may be."""
    inside = [schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)]
    return [*inside, *schema.get("anyOf", [])]


def _kind(schema: Schema) -> object:
    """Return what must be the same in two versions of a schema."""
    return schema.get("type"), schema.get("const"), "enum" in schema


def _followed(schema: Any, records: Schema) -> Any:
    """Return a schema with the records in place of references to them; no record holds one of its own kind."""
    if isinstance(schema, list):
        return [_followed(one, records) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _followed(records[schema["$ref"].rpartition("/")[2]], records)
    return {name: _followed(value, records) for name, value in schema.items() if name != "$defs"}


class _AsWritten(GenerateJsonSchema):
    """Pydantic's schemas with what `job.codec` does differently."""

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        """A record has no other members than its own, and says what it is in its docstring."""
        made = super().dataclass_schema(schema)
        made["description"] = made["description"].replace("``", "`")
        return made | {"additionalProperties": False}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:  # noqa: ARG002 - it has no limits
        """What is no finite number is written as a word."""
        return {"anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}]}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Defaults are written like all else, so that a reader need not know them."""
        return self.generate_inner(schema["schema"])

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: ARG002, FBT001 - as it is called
        """Return True."""
        return True

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - as it is called
        """Return False: a title would repeat the member's name."""
        return False
