"""Write the schemas of what a run publishes, unless they would break a version's promise: scripts/make-schema."""

import json
import sys
from collections.abc import Iterator

from tests.schema.making import DOCUMENTS, FOLDERS, ROOT, Document, Schema, file_of, losses, text_of


def broken(document: Document, schema: Schema) -> Iterator[str]:
    """Yield what a file that is there promises and `schema` does not keep."""
    path = FOLDERS[0] / file_of(document, schema)
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else schema
    for loss in losses(old, schema):
        yield (
            f"{path.relative_to(ROOT)}: {loss} now; count schema_version of {document.record.__name__} up, "
            "or delete the file where no release has it"
        )


def main() -> None:
    """Write each schema into both folders; exit with what is broken, and write nothing then."""
    made = [(document, document.schema()) for document in DOCUMENTS]
    if problems := [problem for pair in made for problem in broken(*pair)]:
        sys.exit("\n".join(problems))
    for folder in FOLDERS:
        folder.mkdir(exist_ok=True)
        for document, schema in made:
            path = folder / file_of(document, schema)
            path.write_text(text_of(schema), encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
