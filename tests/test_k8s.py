"""The Kubernetes objects and the cloud engines' definitions say what the job's contracts say."""

import fnmatch
import functools
import json
import re
import shutil
import subprocess
from ipaddress import ip_address, ip_network
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
FOLDERS = ("base", *(f"overlays/{path.name}" for path in sorted((ROOT / "k8s/overlays").iterdir())))
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


def test_the_rules_are_the_contract_s_word_for_word(job: Any, aws: Any, gcp: Any) -> None:
    """What the reference of faults and exit codes prescribes for the three engines, and no rule beside it."""
    spec = job["spec"]
    assert spec["podFailurePolicy"]["rules"] == [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [2, 43, 44]}},
        {
            "action": "FailIndex",
            "onExitCodes": {"containerName": "main", "operator": "In", "values": [40, 41, 42, 45, 47]},
        },
    ]
    assert (spec["completionMode"], spec["backoffLimitPerIndex"], spec["podReplacementPolicy"]) == (
        "Indexed",
        3,
        "Failed",
    )
    assert aws["retryStrategy"] == {
        "attempts": 4,
        "evaluateOnExit": [
            {"onStatusReason": "Host EC2*", "action": "RETRY"},
            {"onExitCode": "7*", "action": "RETRY"},
            {"onExitCode": "13*", "action": "RETRY"},
            {"onExitCode": "143", "action": "RETRY"},
            {"onReason": "*", "action": "EXIT"},
        ],
    }
    machines = [50001, 50002, 50003, 50004, 50006]
    assert gcp_retries(gcp) == [70, 71, 73, 74, 75, 77, *KERNEL_CODES, *machines]
    assert gcp["taskSpec"]["maxRetryCount"] == 4


def test_argo_retries_the_same_codes() -> None:
    """The expression in cloud/README.md names the 7x class and the signals of the supervisor's own death."""
    (said,) = re.findall(r"expression: (.*)", (ROOT / "cloud/README.md").read_text())
    assert said == (
        f"asInt(lastRetry.exitCode) in 70..79 || asInt(lastRetry.exitCode) in [{', '.join(map(str, KERNEL_CODES))}]"
    )
    assert all(70 <= error.exit_code <= 79 for error in transient)


def test_the_job_ends_by_itself_before_any_engine_ends_it(job: Any, aws: Any, gcp: Any) -> None:
    """Its grace fits between the signal and the kill, and its deadline two minutes before each engine's limit."""
    pod, mine = job["spec"]["template"]["spec"], variables_of(job)
    assert int(mine["JOB_GRACE_S"]) == pod["terminationGracePeriodSeconds"] - 5 == 55
    assert int(mine["JOB_DEADLINE_S"]) == pod["activeDeadlineSeconds"] - 120
    attempts = 1 + job["spec"]["backoffLimitPerIndex"]
    assert job["spec"]["activeDeadlineSeconds"] == attempts * pod["activeDeadlineSeconds"]
    on_aws = {said["name"]: said["value"] for said in aws["containerProperties"]["environment"]}
    on_gcp = gcp["taskSpec"]["environment"]["variables"]
    assert int(on_aws["JOB_DEADLINE_S"]) == aws["timeout"]["attemptDurationSeconds"] - 120
    assert int(on_gcp["JOB_DEADLINE_S"]) == int(gcp["taskSpec"]["maxRunDuration"].removesuffix("s")) - 120
    assert on_aws["JOB_GRACE_S"] == on_gcp["JOB_GRACE_S"] == "25"  # both kill 30 s after their signal


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
@pytest.mark.parametrize("folder", FOLDERS)
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
    """It selects the pods by their labels, lets nothing in, and out to names and to TLS outside the network alone."""
    objects = render(ROOT / "k8s/base")
    policy = objects["NetworkPolicy"]["spec"]
    labels = objects["Job"]["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    names, store = policy["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert [port["port"] for port in store["ports"]] == [443]


@pytest.mark.parametrize(
    ("address", "port", "may"),
    [
        ("52.216.0.1", 443, True),
        ("52.216.0.1", 80, False),
        ("169.254.20.10", 53, True),
        ("8.8.8.8", 53, False),
        ("169.254.169.254", 80, False),
        ("169.254.169.254", 443, False),
        ("10.96.0.1", 443, False),
        ("192.168.1.1", 443, False),
        ("fd00:ec2::254", 443, False),
        ("2600:1f18::1", 443, True),
    ],
)
def test_the_network_policy_hides_what_a_stranger_s_model_must_not_reach(address: str, port: int, *, may: bool) -> None:
    """The metadata service, the API server and other machines of the network are not to be had; the store is."""
    rules = render(ROOT / "k8s/base")["NetworkPolicy"]["spec"]["egress"]
    assert any(holds(block, address) for rule in rules if says(rule, port) for block in blocks(rule)) == may


def says(rule: Any, port: int) -> bool:
    """Tell whether a rule names a port."""
    return any(said["port"] == port for said in rule["ports"])


def blocks(rule: Any) -> list[Any]:
    """Return the blocks of addresses of a rule."""
    return [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]


def holds(block: Any, address: str) -> bool:
    """Tell whether a block of addresses holds one."""
    networks = [ip_network(cidr) for cidr in (block["cidr"], *block.get("except", ()))]
    return [ip_address(address) in network for network in networks] == [True, *(len(networks) - 1) * [False]]


@pytest.mark.parametrize(
    ("folder", "annotation"),
    [("eks", "eks.amazonaws.com/role-arn"), ("gke", "iam.gke.io/gcp-service-account")],
)
def test_the_account_has_the_cloud_s_identity_and_no_token(folder: str, annotation: str) -> None:
    """Workload identity is an annotation; a token for the Kubernetes API is mounted nowhere."""
    objects = render(ROOT / "k8s/overlays" / folder)
    pod, account = objects["Job"]["spec"]["template"]["spec"], objects["ServiceAccount"]
    assert annotation in account["metadata"]["annotations"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert account["automountServiceAccountToken"] is pod["automountServiceAccountToken"] is False


def shards(job: Any) -> tuple[str, str]:
    """Return what a pod believes the number of shards to be, and what it is."""
    return variables_of(job)["JOB_SHARD_COUNT"], str(job["spec"]["completions"])


def variables_of(job: Any) -> dict[str, str]:
    """Return the variables that the pods have by name, beside the ConfigMap's."""
    return {said["name"]: said["value"] for said in job["spec"]["template"]["spec"]["containers"][0]["env"]}


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


def test_every_variable_is_a_knob(job: Any, aws: Any, gcp: Any) -> None:
    """Each JOB_* variable of the three engines is one that the settings know, with a value that they take."""
    generator = yaml.safe_load((ROOT / "k8s/base/kustomization.yaml").read_text())["configMapGenerator"][0]
    variables = [tuple(literal.split("=", 1)) for literal in generator["literals"]]
    variables += [(said["name"], said["value"]) for said in aws["containerProperties"]["environment"]]
    variables += [*gcp["taskSpec"]["environment"]["variables"].items(), *variables_of(job).items()]
    ours = [(name, value) for name, value in variables if name.startswith(ENVIRONMENT_PREFIX)]
    assert len(ours) == 14
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


def iam(name: str) -> Any:
    """Return one of the policies for clouds."""
    return json.loads((ROOT / "cloud/iam" / f"{name}.json").read_text())


def is_allowed(policy: Any, action: str, resource: str, prefix: str = "") -> bool:
    """Tell what AWS would: some statement allows it, and none denies it; an unconditional PutObject where it matters."""
    said = [one for one in policy["Statement"] if fits(one, action, f"arn:aws:s3:::{resource}", prefix)]
    return any(one["Effect"] == "Allow" for one in said) and all(one["Effect"] == "Allow" for one in said)


def fits(statement: Any, action: str, resource: str, prefix: str) -> bool:
    """Tell whether a statement of a policy is about an action; of conditions only that on the prefix is looked at."""
    actions, resources = (
        said if isinstance(said, list) else [said] for said in (statement["Action"], statement["Resource"])
    )
    prefixes = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", ["*"])
    return (
        action in actions
        and any(fnmatch.fnmatchcase(resource, one) for one in resources)
        and any(fnmatch.fnmatchcase(prefix, one) for one in prefixes)
    )


PLAN = "tf2/a/0123456789ab"


@pytest.mark.parametrize(
    ("policy", "action", "resource", "prefix", "may"),
    [
        ("aws-job", "s3:ListBucket", "models", "tf1/", True),
        ("aws-job", "s3:ListBucket", "models", "tf2/a/0123456789ab/", True),
        ("aws-job", "s3:ListBucket", "models", "", False),
        ("aws-job", "s3:ListBucket", "models", "secret/", False),
        ("aws-job", "s3:GetObject", "models/tf1/a.pb", "", True),
        ("aws-job", "s3:GetObject", "models/secret/a.pb", "", False),
        ("aws-job", "s3:PutObject", "models/tf1/a.pb", "", False),
        ("aws-job", "s3:PutObject", f"models/{PLAN}/ba9876543210/report.json", "", True),
        ("aws-job", "s3:PutObject", f"models/{PLAN}/commit.json", "", False),  # unless it only creates
        ("aws-job", "s3:DeleteObject", "models/tf1/a.pb", "", False),
        ("aws-job", "s3:DeleteObject", f"models/{PLAN}/ba9876543210/report.json", "", False),
        ("aws-gc", "s3:DeleteObject", f"models/{PLAN}/ba9876543210/report.json", "", True),
        ("aws-gc", "s3:DeleteObject", f"models/{PLAN}/commit.json", "", False),
        ("aws-gc", "s3:DeleteObject", "models/tf1/a.pb", "", False),
        ("aws-gc", "s3:PutObject", f"models/{PLAN}/ba9876543210/report.json", "", False),
    ],
)
def test_the_roles_may_do_their_work_and_nothing_else(
    policy: str, action: str, resource: str, prefix: str, *, may: bool
) -> None:
    """The job reads below its source, writes below its destination, lists nothing else and deletes nothing."""
    assert is_allowed(iam(policy), action, resource, prefix) == may


def test_a_commit_may_only_be_created() -> None:
    """The role refuses a commit that is not written with If-None-Match, by whoever got hold of it."""
    (denied,) = [one for one in iam("aws-job")["Statement"] if one["Effect"] == "Deny"]
    assert (denied["Action"], denied["Condition"]) == ("s3:PutObject", {"Null": {"s3:if-none-match": "true"}})


def test_pods_alone_may_take_the_role() -> None:
    """The trust policy names the account that the manifests make, in its namespace, and the audience of its token."""
    (statement,) = iam("aws-trust-irsa")["Statement"]
    account = yaml.safe_load((ROOT / "k8s/base/service-account.yaml").read_text())["metadata"]["name"]
    said = {name.rpartition(":")[2]: value for name, value in statement["Condition"]["StringEquals"].items()}
    assert said == {"sub": f"system:serviceaccount:default:{account}", "aud": "sts.amazonaws.com"}
