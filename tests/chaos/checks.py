"""What must hold at a destination at every moment, whoever was killed and whatever was lost on the way."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tests.chaos.shelves import Shelf

OUT: Final = "out/"
COMMIT: Final = re.compile(rf"{OUT}(?P<artifact>(?!_).+)/[0-9a-f]{{12}}/commit\.json")
ATTEMPT: Final = re.compile(rf"({OUT}(?!_).+/[0-9a-f]{{12}}/[0-9a-f]{{12}})/.+")


class Reader:
    """Reads a destination again and again, and keeps what it found wrong: `violations`.

    `models` are the bytes that the model of an artifact must have, where they are known.
    """

    def __init__(self, shelf: Shelf, models: Mapping[str, bytes]) -> None:
        self._shelf, self._models = shelf, models
        self.commits: dict[str, bytes] = {}
        self.pointers: set[str] = set()
        self.violations: list[str] = []
        self.readings = 0

    def look(self) -> None:
        """Check what is there now; a commit that was found whole is whole as long as it does not change."""
        self.readings += 1
        keys = self._shelf.sizes()
        for key in filter(COMMIT.fullmatch, keys):
            self._check(key, self._shelf.read(key))
        for key in keys:
            if key.endswith("/latest.json"):
                self._follow(key)

    def look_closely(self) -> None:
        """Check everything anew, with its digests."""
        before, self.commits = self.commits, {}
        self.look()
        self.violations += [f"{key} is gone" for key in before.keys() - self.commits.keys()]
        changed = [key for key, said in before.items() if self.commits.get(key, said) != said]
        self.violations += [f"{key} was overwritten" for key in changed]

    def artifacts(self) -> set[str]:
        """Return the artifacts that have a commit."""
        return {artifact_of(key) for key in self.commits}

    def orphans(self) -> dict[str, set[str]]:
        """Return the keys of each attempt that no commit names."""
        committed, found = {attempt_of(key, said) for key, said in self.commits.items()}, dict[str, set[str]]()
        for key in self._shelf.sizes():
            if (match := ATTEMPT.fullmatch(key)) and match[1] not in committed:
                found.setdefault(match[1], set()).add(key)
        return found

    def _check(self, key: str, said: bytes) -> None:
        if self.commits.get(key) == said:
            return
        if key in self.commits:
            self.violations.append(f"{key} was overwritten")
        self.commits[key] = said
        self.violations += [f"{key}: {what}" for what in self._wrong(key, said)]

    def _wrong(self, key: str, said: bytes) -> Iterable[str]:
        """Yield what is wrong with a commit: each file must be there, with its size and its digest."""
        home, files = attempt_of(key, said), json.loads(said)["files"]
        for file in files:
            try:
                data = self._shelf.read(f"{home}/{file['path']}")
            except (KeyError, FileNotFoundError):
                yield f"{file['path']} is missing"
                continue
            if (len(data), hashlib.sha256(data).hexdigest()) != (file["size_bytes"], file["sha256"]):
                yield f"{file['path']} has other bytes"
            wanted = self._models.get(artifact_of(key))
            if file["path"] == "saved_model/saved_model.pb" and wanted not in (None, data):
                yield "the model is another artifact's"
        if not {"saved_model/saved_model.pb", "report.json", "log.jsonl"} <= {file["path"] for file in files}:
            yield "model or report is not in it"

    def _follow(self, key: str) -> None:
        """Check that a pointer names what is committed."""
        said = json.loads(self._shelf.read(key))
        home = key.removesuffix("latest.json")
        try:
            commit: dict[str, Any] = json.loads(self._shelf.read(home + said["commit"]))
        except (KeyError, FileNotFoundError):
            self.violations.append(f"{key} names a commit that is not there")
            return
        model = f"{said['commit'].removesuffix('commit.json')}{commit['attempt']}/saved_model"
        if (commit["plan"], commit["attempt"], model) != (said["plan"], said["attempt"], said["saved_model"]):
            self.violations.append(f"{key} names another attempt than its commit")
        self.pointers.add(home.removeprefix(OUT).rstrip("/"))


def artifact_of(key: str) -> str:
    """Return whose commit it is."""
    match = COMMIT.fullmatch(key)
    assert match
    return match["artifact"]


def attempt_of(key: str, said: bytes) -> str:
    """Return the directory of a commit's files."""
    return key.removesuffix("commit.json") + str(json.loads(said)["attempt"])
