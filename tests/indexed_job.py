"""An Indexed Job of Kubernetes, acted out from its rendered manifest by the container engine that is here.

python -m tests.indexed_job [--image TAG] [--drain INDEX] makes one of eight indexes over small models, one of which
hangs its worker, and prints what became of each index; see scripts/run-indexed-job. What a manifest says of a pod is
done as a kubelet would: user, root file system, capabilities, seccomp, variables, memory, scratch, grace. What it says
of a Job is decided as the Job controller would: pod failure policy, backoff limit per index, failed indexes.
No network is to be had, which is stricter than the network policy.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Final, Literal

import yaml

from tests import hostile
from tests.jobs import GOLDENS, ROOT
from tests.manifests import render

INDEXES: Final = 8
POISON: Final = "poison/endless.pbtxt"
MODELS: Final = (
    *("cond_frozen", "while_loop_frozen", "ref_variables_saved_model", "resource_variables_saved_model"),
    *("functions_saved_model", "odd_signatures_saved_model", "v1_table_saved_model", "start_values_saved_model"),
    *("ref_variables_checkpoint", "cond_checkpoint", "sharded_checkpoint", "while_loop_checkpoint"),
)
"""Of the goldens those that convert in a few seconds."""

Action = Literal["Ignore", "FailJob", "FailIndex", "Count"]
State = Literal["Succeeded", "Failed", "Terminated"]


@dataclass(kw_only=True)
class Index:
    """What became of one index: the exit codes of its pods in their order, and what was done about the last."""

    index: int
    codes: list[int] = field(default_factory=list)
    failures: int = 0
    action: Action | None = None
    state: State = "Terminated"


def overlay(data: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return a kustomization over ``overlays/cpu``: eight indexes, two at a time, with `data` at ``/data``."""
    volume = {"name": "data", "hostPath": {"path": str(data)}}
    patch = [
        {"op": "replace", "path": "/spec/completions", "value": INDEXES},
        {"op": "replace", "path": "/spec/parallelism", "value": 2},
        {"op": "add", "path": "/spec/template/spec/volumes/-", "value": volume},
        {
            "op": "add",
            "path": "/spec/template/spec/containers/0/volumeMounts/-",
            "value": {"name": "data", "mountPath": "/data"},
        },
    ]
    literals = [f"{name}={value}" for name, value in variables.items()]
    return {
        "resources": ["../cpu"],
        "transformers": ["../../shards"],
        "configMapGenerator": [{"name": "tf1lift", "behavior": "merge", "literals": literals}],
        "patches": [{"target": {"kind": "Job"}, "patch": json.dumps(patch)}],
    }


def rendered(kustomization: dict[str, Any], home: Path) -> dict[str, Any]:
    """Return the objects of an overlay beside those of ``k8s/``, by kind."""
    shutil.copytree(ROOT / "k8s", home / "k8s")
    folder = home / "k8s/overlays/rehearsed"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return render(folder)


def decide(job: Any, code: int, *, is_drained: bool = False) -> Action:
    """Return the action of the first rule of a pod failure policy that fits; ``Count`` where none does."""
    for rule in job["spec"]["podFailurePolicy"]["rules"]:
        conditions = [said["type"] for said in rule.get("onPodConditions", ())]
        if code in rule.get("onExitCodes", {}).get("values", ()) or (is_drained and "DisruptionTarget" in conditions):
            action: Action = rule["action"]
            return action
    return "Count"


class Cluster:
    """Runs the pods of one Job; `objects` are rendered, `image` stands for the one that they name.

    The first pod of the index `drained` is stopped once it is at work, as by a node that is drained.
    """

    def __init__(self, objects: dict[str, Any], image: str, home: Path, drained: int | None = None) -> None:
        self._job, self._image, self._home, self._drained = objects["Job"], image, home, drained
        self._map = {document["metadata"]["name"]: document for document in objects.values()}
        self._pod = self._job["spec"]["template"]["spec"]
        (self._container,) = self._pod["containers"]
        self._is_over = Event()

    def run(self) -> list[Index]:
        """Run all indexes to their end, as many at a time as the Job says."""
        spec = self._job["spec"]
        with ThreadPoolExecutor(spec["parallelism"]) as pool:
            done = list(pool.map(self._run_index, range(spec["completions"])))
        assert sum(one.state == "Failed" for one in done) <= spec["maxFailedIndexes"]
        return done

    def _run_index(self, number: int) -> Index:
        one = Index(index=number)
        while not self._is_over.is_set() and one.state == "Terminated":
            is_drained = number == self._drained and not one.codes
            one.codes.append(self._run_pod(number, len(one.codes), is_drained=is_drained))
            if one.codes[-1] == 0:
                one.state = "Succeeded"
                break
            one.action = decide(self._job, one.codes[-1], is_drained=is_drained)
            self._act(one)
        return one

    def _act(self, one: Index) -> None:
        one.failures += one.action == "Count"
        if one.action == "FailJob":
            self._is_over.set()
        if one.action in ("FailJob", "FailIndex") or one.failures > self._job["spec"]["backoffLimitPerIndex"]:
            one.state = "Failed"

    def _run_pod(self, number: int, attempt: int, *, is_drained: bool) -> int:
        name = f"tf1lift-{os.getpid()}-{number}-{attempt}"
        command = [*engine(), "run", "--rm", "--name", name, *self._options(number, name), self._image]
        with (self._home / f"{name}.log").open("w+") as said:
            pod = subprocess.Popen([*command, *self._container["args"]], stdout=said, stderr=subprocess.STDOUT)
            if is_drained:
                _await(said.name, '"artifact_started"', pod)
                grace = str(self._pod["terminationGracePeriodSeconds"])
                subprocess.run([*engine(), "stop", "--time", grace, name], capture_output=True, check=True)
            return pod.wait(timeout=self._pod["activeDeadlineSeconds"])

    def _options(self, number: int, name: str) -> Iterator[str]:
        """Yield the engine's options for what the manifest says."""
        pod, mine = self._pod["securityContext"], self._container["securityContext"]
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, "the engine's own profile is all that it has"
        yield from ("--user", f"{pod['runAsUser']}:{pod['runAsGroup']}", "--group-add", str(pod["fsGroup"]))
        yield from (
            "--network",
            "none",
            "--memory",
            self._container["resources"]["limits"]["memory"].replace("Gi", "g"),
        )
        yield from ("--cap-drop", "all") if mine["capabilities"] == {"drop": ["ALL"]} else ()
        yield from () if mine["allowPrivilegeEscalation"] else ("--security-opt", "no-new-privileges")
        yield from ("--read-only", "--read-only-tmpfs=false") if mine["readOnlyRootFilesystem"] else ()
        for variable, value in self._variables(number).items():
            yield from ("--env", f"{variable}={value}")
        for mount in self._container["volumeMounts"]:
            yield from ("--volume", f"{self._directory(mount['name'], name)}:{mount['mountPath']}")

    def _variables(self, number: int) -> dict[str, str]:
        """Return the pod's variables; the control plane adds the index."""
        sources = [said["configMapRef"]["name"] for said in self._container["envFrom"] if "configMapRef" in said]
        variables = {name: value for source in sources for name, value in self._map[source]["data"].items()}
        variables |= {said["name"]: said["value"] for said in self._container["env"]}
        return variables | {"JOB_COMPLETION_INDEX": str(number)}

    def _directory(self, volume: str, pod: str) -> Path:
        """Return where a volume lies; scratch is the pod's own, and its group's as fsGroup has it."""
        (said,) = [one for one in self._pod["volumes"] if one["name"] == volume]
        if "hostPath" in said:
            return Path(said["hostPath"]["path"])
        directory = self._home / f"{pod}.{volume}"
        directory.mkdir()
        if os.geteuid() == 0:
            os.chown(directory, -1, self._pod["securityContext"]["fsGroup"])
            directory.chmod(0o2775)
        else:  # who may not give it to the group
            directory.chmod(0o2777)
        return directory


def engine() -> list[str]:
    """Return the command of the container engine, as scripts/containers.sh picks it."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0:
        return [docker]
    if not Path("/run/systemd/system").is_dir():
        os.environ["CONTAINERS_CONF"] = str(ROOT / "scripts/containers.conf")
    return [shutil.which("podman") or "podman"]


def _await(log: str, event: str, pod: "subprocess.Popen[bytes]") -> None:
    while pod.poll() is None and event not in Path(log).read_text():
        Event().wait(0.1)


def lay_out(data: Path) -> None:
    """Fill ``in`` with the good and the poisoned, and let the pods' user write to ``out``."""
    for model in MODELS:
        shutil.copytree(GOLDENS / model, data / "in" / model, ignore=shutil.ignore_patterns("case.json", "golden.npz"))
    (data / "in" / POISON).parent.mkdir()
    (data / "in" / POISON).write_text(hostile.ENDLESS_LOOP)
    (data / "out").mkdir()
    (data / "out").chmod(0o777)
    data.chmod(0o755)


def rehearse(image: str, home: Path, drained: int | None = None) -> list[Index]:
    """Run the whole Job over ``home/data`` and return what became of its indexes."""
    data = home / "data"
    data.mkdir()
    lay_out(data)
    variables = {
        "JOB_SOURCE": "/data/in",
        "JOB_DEST": "/data/out",
        "JOB_BENCHMARK": "off",
        "JOB_LOG_FORMAT": "json",
        "JOB_STAGE_TIMEOUT_S": "20",
    }
    return Cluster(rendered(overlay(data, variables), home), image, home, drained).run()


def table(done: Sequence[Index], summaries: Mapping[int, Mapping[str, object]]) -> Iterator[str]:
    """Yield what became of the indexes as a table in Markdown."""
    yield "| index | exit codes of its pods | action on the last failure | state | its artifacts |"
    yield "|---|---|---|---|---|"
    for one in done:
        codes, ends = ", ".join(map(str, one.codes)), summaries.get(one.index, {})
        told = ", ".join(f"{name}: {end}" for name, end in ends.items())
        yield f"| {one.index} | {codes} | {one.action or '-'} | {one.state} | {told} |"


def ends_by_index(out: Path) -> dict[int, dict[str, object]]:
    """Return what the last pod of each index said of its artifacts: a status, or a code."""
    found: dict[int, dict[str, object]] = {}
    for path in sorted(out.glob("_runs/*/shard-*.json")):
        summary = json.loads(path.read_text())
        found[summary["shard_index"]] = {
            report["artifact"]["name"]: report["error"]["exit_code"] if report["error"] else report["status"]
            for report in summary["reports"]
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/run-indexed-job")
    parser.add_argument("--image", default="tf1lift:cpu")
    parser.add_argument("--drain", type=int, metavar="INDEX", help="stop the first pod of this index at its work")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="indexed-job-") as name:
        done = rehearse(chosen.image, Path(name), chosen.drain)
        sys.stdout.writelines(f"{line}\n" for line in table(done, ends_by_index(Path(name, "data/out"))))
    sys.exit([one.state for one in done].count("Failed") != 1)


if __name__ == "__main__":
    main()
