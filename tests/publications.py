"""Small publications for tests: three files that look like a converted model."""

import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from job.publishing import publish, publish_failure
from job.records import Artifact, ArtifactReport, Commit, Digest, Format
from job.results import OutputParity, ParityResult
from job.storage.base import Storage

FILES: Final = {
    "saved_model/saved_model.pb": b"graph",
    "saved_model/variables/variables.index": b"index",
    "saved_model/variables/variables.data-00000-of-00001": b"weights" * 1000,
    "report.json": b"{}",
    "log.jsonl": b"",
}
NAME: Final = "nets/resnet50"
PLAN: Final = hashlib.sha256(b"plan").hexdigest()
OTHER_PLAN: Final = hashlib.sha256(b"other plan").hexdigest()
HOME: Final = f"{NAME}/{PLAN[:12]}"
ONE, TWO, THREE = "111111111111", "222222222222", "333333333333"
"""Names of attempts, in the form that the job gives them."""

OLD_S: Final = 30 * 86400.0


def reported(name: str = NAME, plan: str = PLAN) -> ArtifactReport:
    """Return the report of an artifact that passed."""
    artifact = Artifact(name=name, format=Format.GRAPH_DEF, entry=name, objects=())
    output = OutputParity(
        signature="s", output="y", tensor="y:0", dtype="float32", verdict="passed", tolerance=1e-5, relative=2e-7
    )
    return ArtifactReport(
        artifact=artifact,
        status="published",
        plan=plan,
        sources=(Digest(key=name, size_bytes=5, sha256="ab" * 32),),
        parity=ParityResult(mode="exact", verdict="passed", outputs=(output,)),
        environment={"sandbox": "landlock"},
    )


def put_model(directory: Path) -> Path:
    """Write the files of a converted model."""
    for name, data in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
    return directory


def publish_one(dest: Storage, name: str = NAME, plan: str = PLAN, attempt: str = ONE, began_s: float = 1.0) -> Commit:
    """Publish a model and return the commit that stands."""
    with TemporaryDirectory() as directory:
        model = put_model(Path(directory))
        return publish(dest, reported(name, plan), attempt=attempt, directory=model, began_s=began_s).commit


def fail_one(dest: Storage, name: str = NAME, attempt: str = ONE) -> str:
    """Publish a failure's report and return its place."""
    with TemporaryDirectory() as directory:
        model = put_model(Path(directory))
        return publish_failure(dest, artifact=name, plan=PLAN, attempt=attempt, directory=model)


def leave_attempt(dest: Storage, attempt: str = TWO, home: str = HOME) -> str:
    """Store the files of an attempt that died before its commit; return its place."""
    for name, data in FILES.items():
        dest.replace(f"{home}/{attempt}/{name}", data)
    return f"{home}/{attempt}"


def keys(dest: Storage, prefix: str = "") -> list[str]:
    """Return what lies at a destination, but for the probe."""
    return [stored.key for stored in dest.list(prefix) if not stored.key.startswith("_create_only")]


def age(directory: Path, by_s: float = OLD_S) -> None:
    """Let all files below a directory be old."""
    for path in directory.rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime - by_s
            os.utime(path, (then, then))
