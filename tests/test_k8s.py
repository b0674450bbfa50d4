"""The Kubernetes objects and the cloud engines' definitions say what the job's contracts say."""

import fnmatch
import functools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import boto3
import kubernetes_validate
import pytest
import yaml
from botocore.validate import ParamValidator

from job.errors import ERRORS, JobError, Transient
from job.settings import ENVIRONMENT_PREFIX, kind_of, knobs

ROOT = Path(__file__).parent.parent
KERNEL_CODES = (134, 137, 139, 143)
"""How the supervisor itself ends by SIGABRT, SIGKILL, SIGSEGV and SIGTERM."""
SPOT_RECLAIMED = "Host EC2 (instance i-0123456789abcdef0) terminated."

permanent = [error for error in ERRORS if not issubclass(error, Transient)]
transient = [error for error in ERRORS if issubclass(error, Transient)]


@functools.cache
def render(folder: Path) -> dict[str, Any]:
    """Return the objects of a kustomization by kind; skip where nothing here can build one."""
    tools = (["kubectl", "kustomize"], ["kustomize", "build"])
    command = next((tool for tool in tools if shutil.which(tool[0])), None)
    if command is None:
        pytest.skip("neither kubectl nor kustomize is here to render the overlays")
    rendered = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=True).stdout
    return {document["kind"]: document for document in yaml.safe_load_all(rendered)}


@pytest.fixture
def job() -> Any:
    """The Job as it is written, before kustomize."""
    return yaml.safe_load((ROOT / "k8s/base/job.yaml").read_text())


@pytest.fixture
def aws() -> Any:
    """The AWS Batch job definition."""
    return json.loads((ROOT / "cloud/aws-batch.json").read_text())


@pytest.fixture
def gcp() -> Any:
    """The task group of the GCP Batch job."""
    return json.loads((ROOT / "cloud/gcp-batch.json").read_text())["taskGroups"][0]


def pod_action(job: Any, code: int) -> str:
    """Return what the pod failure policy does about an exit code; ``Count`` where no rule names it."""
    rules = job["spec"]["podFailurePolicy"]["rules"]
    named = (rule["action"] for rule in rules if code in rule.get("onExitCodes", {}).get("values", ()))
    return str(next(named, "Count"))


def aws_action(aws: Any, *, code: int = 1, status: str = "Task failed to start") -> str:
    """Return the action of the first rule that matches, as AWS Batch evaluates them."""
    said = {"onExitCode": str(code), "onStatusReason": status, "onReason": "Essential container in task exited"}
    for rule in aws["retryStrategy"]["evaluateOnExit"]:
        if all(fnmatch.fnmatchcase(said[key], pattern) for key, pattern in rule.items() if key != "action"):
            return str(rule["action"])
    return "RETRY"  # AWS's own default


def check_variable(name: str, value: str) -> None:
    """Fail unless a JOB_* variable is a knob of the settings and its value is one of those it takes."""
    kinds = {ENVIRONMENT_PREFIX + knob.name.upper(): kind_of(knob) for knob in knobs()}
    assert name in kinds
    choices = [choice for choice in get_args(kinds[name]) if isinstance(choice, str)]
    assert not choices or value in choices


@pytest.mark.parametrize("error", permanent)
def test_a_permanent_error_is_never_run_again(error: type[JobError], job: Any, aws: Any, gcp: Any) -> None:
    """Neither engine retries an exit code that would come again; usage, no_input and denied end the whole Job."""
    fails_all = error.code_name in {"usage", "no_input", "denied"}
    assert pod_action(job, error.exit_code) == ("FailJob" if fails_all else "FailIndex")
    assert aws_action(aws, code=error.exit_code) == "EXIT"
    assert error.exit_code not in gcp_retries(gcp)


@pytest.mark.parametrize("code", [*(error.exit_code for error in transient), *KERNEL_CODES])
def test_a_transient_error_is_run_again(code: int, job: Any, aws: Any, gcp: Any) -> None:
    """Every engine retries the codes of the 7x class and the supervisor's own death by a signal."""
    assert pod_action(job, code) == "Count"
    assert aws_action(aws, code=code) == "RETRY"
    assert code in gcp_retries(gcp)


def gcp_retries(gcp: Any) -> list[int]:
    """Return the exit codes that GCP Batch retries; with RETRY_TASK it fails every other."""
    (policy,) = gcp["taskSpec"]["lifecyclePolicies"]
    assert policy["action"] == "RETRY_TASK"
    return list(policy["actionCondition"]["exitCodes"])


def test_no_rule_names_a_code_that_the_job_never_ends_with(job: Any) -> None:
    """The pod failure policy holds the permanent codes and nothing else."""
    rules = job["spec"]["podFailurePolicy"]["rules"]
    named = [code for rule in rules for code in rule.get("onExitCodes", {}).get("values", ())]
    assert sorted(named) == sorted({error.exit_code for error in permanent})


def test_a_reclaimed_machine_does_not_count(job: Any, aws: Any, gcp: Any) -> None:
    """A drained node is ignored before its 143 is looked at; a reclaimed instance is retried."""
    assert job["spec"]["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    assert aws_action(aws, status=SPOT_RECLAIMED) == "RETRY"
    assert {50001, 50002, 50006} <= set(gcp_retries(gcp))  # preempted, lost contact, recreated


def test_the_pod_may_do_nothing_but_its_work(job: Any) -> None:
    """The pod runs as uid 10001 with a read-only root, no capability, no token and one GPU."""
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


def test_only_scratch_is_writable_and_it_is_bounded(job: Any) -> None:
    """Every volume is an emptyDir on disk whose limit fits the pod's ephemeral storage."""
    pod = job["spec"]["template"]["spec"]
    assert [set(volume) for volume in pod["volumes"]] == [{"name", "emptyDir"}]
    assert pod["volumes"][0]["emptyDir"] == {"sizeLimit": "60Gi"}
    assert pod["containers"][0]["resources"]["limits"]["ephemeral-storage"] == "64Gi"


@pytest.mark.parametrize("version", ["1.33", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("folder", ["base", "overlays/cpu"])
def test_the_rendered_objects_are_valid(folder: str, version: str) -> None:
    """Each object passes the API's schema strictly: no unknown and no missing field."""
    for document in render(ROOT / "k8s" / folder).values():
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize(("folder", "device", "gpus"), [("base", "gpu", "1"), ("overlays/cpu", "cpu", None)])
def test_each_overlay_asks_for_its_device(folder: str, device: str, gpus: str | None) -> None:
    """Image, JOB_DEVICE and GPU limit agree, and the pod reads the ConfigMap that is rendered beside it."""
    objects = render(ROOT / "k8s" / folder)
    pod = objects["Job"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == f"tf1lift:{device}"
    assert container["resources"]["limits"].get("nvidia.com/gpu") == gpus
    assert ("tolerations" in pod) == (gpus is not None)
    assert container["envFrom"][0]["configMapRef"]["name"] == objects["ConfigMap"]["metadata"]["name"]
    assert objects["ConfigMap"]["data"]["JOB_DEVICE"] == device


def test_the_network_policy_holds_the_pods() -> None:
    """The policy selects the pods by their labels, lets nothing in, and hides the metadata service."""
    objects = render(ROOT / "k8s/base")
    policy = objects["NetworkPolicy"]["spec"]
    labels = objects["Job"]["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert "ingress" not in policy
    assert policy["egress"][1]["to"][0]["ipBlock"]["except"] == ["169.254.0.0/16"]


def shards(job: Any) -> tuple[str, str]:
    """Return what a pod believes the number of shards to be, and what it is."""
    (variable,) = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert variable["name"] == "JOB_SHARD_COUNT"
    return variable["value"], str(job["spec"]["completions"])


def test_pods_know_how_many_shards_there_are() -> None:
    """JOB_SHARD_COUNT is the Job's completions, as text."""
    told, completions = shards(render(ROOT / "k8s/base")["Job"])
    assert told == completions == "4"


def test_an_overlay_can_change_the_number_of_shards(tmp_path: Path) -> None:
    """An overlay with its own completions, prefix and namespace still tells its pods the right count."""
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s")
    mine = tmp_path / "k8s/overlays/mine"
    mine.mkdir()
    patch = "- {op: replace, path: /spec/completions, value: 12}"
    overlay = {
        "resources": ["../cpu"],
        "transformers": ["../../shards"],
        "namePrefix": "my-",
        "namespace": "models",
        "patches": [{"target": {"kind": "Job"}, "patch": patch}],
    }
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    objects = render(mine)
    assert shards(objects["Job"]) == ("12", "12")
    assert objects["Job"]["spec"]["maxFailedIndexes"] == 12
    pod = objects["Job"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"] == "my-tf1lift"


def test_every_variable_is_a_knob(aws: Any, gcp: Any) -> None:
    """Each JOB_* variable of the three engines is one that the settings know, with a value that they take."""
    generator = yaml.safe_load((ROOT / "k8s/base/kustomization.yaml").read_text())["configMapGenerator"][0]
    variables = [tuple(literal.split("=", 1)) for literal in generator["literals"]]
    variables += [(said["name"], said["value"]) for said in aws["containerProperties"]["environment"]]
    variables += gcp["taskSpec"]["environment"]["variables"].items()
    ours = [(name, value) for name, value in variables if name.startswith(ENVIRONMENT_PREFIX)]
    assert len(ours) == 7
    for name, value in ours:
        check_variable(name, value)


def test_aws_batch_takes_the_definition(aws: Any) -> None:
    """The definition has the types and names that RegisterJobDefinition takes, and at most five retry rules."""
    batch = boto3.client("batch", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    shape = batch.meta.service_model.operation_model("RegisterJobDefinition").input_shape
    assert ParamValidator().validate(aws, shape).generate_report() == ""
    assert len(aws["retryStrategy"]["evaluateOnExit"]) <= 5


def test_the_cloud_engines_run_it_as_confined_as_kubernetes_does(aws: Any, gcp: Any) -> None:
    """AWS and GCP Batch run the image as uid 10001 with a read-only root and one GPU."""
    container = aws["containerProperties"]
    assert container["user"] == "10001:10001"
    assert container["readonlyRootFilesystem"]
    assert not container["privileged"]
    assert {"type": "GPU", "value": "1"} in container["resourceRequirements"]
    options = gcp["taskSpec"]["runnables"][0]["container"]["options"]
    for option in ("--user 10001:10001", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges"):
        assert option in options
    assert "--privileged" not in options


def test_the_image_and_every_engine_name_one_user(job: Any, aws: Any) -> None:
    """The image's user is the pod's, its volumes' group and AWS Batch's."""
    security = job["spec"]["template"]["spec"]["securityContext"]
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"]
    user = f"{security['runAsUser']}:{security['runAsGroup']}"
    assert f"\nUSER {user}\n" in (ROOT / "Dockerfile").read_text()
    assert aws["containerProperties"]["user"] == user
