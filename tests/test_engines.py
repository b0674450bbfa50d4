"""The engines' definitions say what the job's contracts say: exit codes, limits, users, variables."""

import fnmatch
import re
from typing import Any, get_args

import boto3
import pytest
import yaml
from botocore.validate import ParamValidator

from job.errors import ERRORS, JobError, Transient
from job.settings import ENVIRONMENT_PREFIX, kind_of, knobs
from tests.jobs import ROOT
from tests.manifests import variables_of

pytest_plugins = ["tests.definitions"]

KERNEL_CODES = (134, 137, 139, 143)
"""How the supervisor itself ends by SIGABRT, SIGKILL, SIGSEGV and SIGTERM."""
SPOT_RECLAIMED = "Host EC2 (instance i-0123456789abcdef0) terminated."

permanent = [error for error in ERRORS if not issubclass(error, Transient)]
transient = [error for error in ERRORS if issubclass(error, Transient)]


def aws_action(aws_batch: Any, *, code: int = 1, status: str = "Task failed to start") -> str:
    """Return the action of the first rule that matches, as AWS Batch evaluates them."""
    said = {"onExitCode": str(code), "onStatusReason": status, "onReason": "Essential container in task exited"}
    for rule in aws_batch["retryStrategy"]["evaluateOnExit"]:
        if all(fnmatch.fnmatchcase(said[key], pattern) for key, pattern in rule.items() if key != "action"):
            return str(rule["action"])
    return "RETRY"  # AWS's own default


def gcp_retries(gcp_batch: Any) -> list[int]:
    """Return the exit codes that GCP Batch retries; with RETRY_TASK it fails every other."""
    (policy,) = gcp_batch["taskSpec"]["lifecyclePolicies"]
    assert policy["action"] == "RETRY_TASK"
    return list(policy["actionCondition"]["exitCodes"])


def pod_action(job: Any, code: int) -> str:
    """Return what the pod failure policy does about an exit code; ``Count`` where no rule names it."""
    rules = job["spec"]["podFailurePolicy"]["rules"]
    named = (rule["action"] for rule in rules if code in rule.get("onExitCodes", {}).get("values", ()))
    return str(next(named, "Count"))


@pytest.mark.parametrize("error", permanent)
def test_a_permanent_error_is_never_run_again(error: type[JobError], job: Any, aws_batch: Any, gcp_batch: Any) -> None:
    """Neither engine retries an exit code that would come again; usage, no_input and denied end the whole Job."""
    fails_all = error.code_name in {"usage", "no_input", "denied"}
    assert pod_action(job, error.exit_code) == ("FailJob" if fails_all else "FailIndex")
    assert aws_action(aws_batch, code=error.exit_code) == "EXIT"
    assert error.exit_code not in gcp_retries(gcp_batch)


@pytest.mark.parametrize("code", [*(error.exit_code for error in transient), *KERNEL_CODES])
def test_a_transient_error_is_run_again(code: int, job: Any, aws_batch: Any, gcp_batch: Any) -> None:
    """Every engine retries the codes of the 7x class and the supervisor's own death by a signal."""
    assert pod_action(job, code) == "Count"
    assert aws_action(aws_batch, code=code) == "RETRY"
    assert code in gcp_retries(gcp_batch)


def test_the_rules_are_the_contract_s_word_for_word(job: Any, aws_batch: Any, gcp_batch: Any) -> None:
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
    assert aws_batch["retryStrategy"] == {
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
    assert gcp_retries(gcp_batch) == [70, 71, 73, 74, 75, 77, *KERNEL_CODES, *machines]
    assert gcp_batch["taskSpec"]["maxRetryCount"] == 4


def test_argo_retries_the_same_codes() -> None:
    """The expression in cloud/README.md names the 7x class and the signals of the supervisor's own death."""
    (said,) = re.findall(r"expression: (.*)", (ROOT / "cloud/README.md").read_text())
    assert said == (
        f"asInt(lastRetry.exitCode) in 70..79 || asInt(lastRetry.exitCode) in [{', '.join(map(str, KERNEL_CODES))}]"
    )
    assert all(70 <= error.exit_code <= 79 for error in transient)


def test_the_job_ends_by_itself_before_any_engine_ends_it(job: Any, aws_batch: Any, gcp_batch: Any) -> None:
    """Its grace fits between the signal and the kill, and its deadline two minutes before each engine's limit."""
    pod, mine = job["spec"]["template"]["spec"], variables_of(job)
    assert int(mine["JOB_GRACE_S"]) == pod["terminationGracePeriodSeconds"] - 5 == 55
    assert int(mine["JOB_DEADLINE_S"]) == pod["activeDeadlineSeconds"] - 120
    assert "activeDeadlineSeconds" not in job["spec"]  # it would be for all waves of shares together
    on_aws = {said["name"]: said["value"] for said in aws_batch["containerProperties"]["environment"]}
    on_gcp = gcp_batch["taskSpec"]["environment"]["variables"]
    assert int(on_aws["JOB_DEADLINE_S"]) == aws_batch["timeout"]["attemptDurationSeconds"] - 120
    assert int(on_gcp["JOB_DEADLINE_S"]) == int(gcp_batch["taskSpec"]["maxRunDuration"].removesuffix("s")) - 120
    assert on_aws["JOB_GRACE_S"] == on_gcp["JOB_GRACE_S"] == "25"  # both kill 30 s after their signal


def test_no_rule_names_a_code_that_the_job_never_ends_with(job: Any) -> None:
    """The pod failure policy holds the permanent codes and nothing else."""
    rules = job["spec"]["podFailurePolicy"]["rules"]
    named = [code for rule in rules for code in rule.get("onExitCodes", {}).get("values", ())]
    assert sorted(named) == sorted({error.exit_code for error in permanent})


def test_a_reclaimed_machine_does_not_count(job: Any, aws_batch: Any, gcp_batch: Any) -> None:
    """A drained node is ignored before its 143 is looked at; a reclaimed instance is retried."""
    assert job["spec"]["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    assert aws_action(aws_batch, status=SPOT_RECLAIMED) == "RETRY"
    assert {50001, 50002, 50006} <= set(gcp_retries(gcp_batch))  # preempted, lost contact, recreated


def test_aws_batch_takes_the_definition(aws_batch: Any) -> None:
    """The definition has the types and names that RegisterJobDefinition takes, and at most five retry rules."""
    batch = boto3.client("batch", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    shape = batch.meta.service_model.operation_model("RegisterJobDefinition").input_shape
    assert ParamValidator().validate(aws_batch, shape).generate_report() == ""
    assert len(aws_batch["retryStrategy"]["evaluateOnExit"]) <= 5


def test_the_cloud_engines_run_it_as_confined_as_kubernetes_does(aws_batch: Any, gcp_batch: Any) -> None:
    """AWS and GCP Batch run the image as uid 10001 with a read-only root and one GPU."""
    container = aws_batch["containerProperties"]
    assert container["user"] == "10001:10001"
    assert container["readonlyRootFilesystem"]
    assert not container["privileged"]
    assert {"type": "GPU", "value": "1"} in container["resourceRequirements"]
    options = gcp_batch["taskSpec"]["runnables"][0]["container"]["options"]
    for option in ("--user 10001:10001", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges"):
        assert option in options
    assert "--privileged" not in options


def check_variable(name: str, value: str) -> None:
    """Fail unless a JOB_* variable is a knob of the settings and its value is one of those it takes."""
    kinds = {ENVIRONMENT_PREFIX + knob.name.upper(): kind_of(knob) for knob in knobs()}
    assert name in kinds
    choices = [choice for choice in get_args(kinds[name]) if isinstance(choice, str)]
    assert not choices or value in choices


def test_every_variable_is_a_knob(job: Any, aws_batch: Any, gcp_batch: Any) -> None:
    """Each JOB_* variable of the three engines is one that the settings know, with a value that they take."""
    generator = yaml.safe_load((ROOT / "k8s/base/kustomization.yaml").read_text())["configMapGenerator"][0]
    variables = [tuple(literal.split("=", 1)) for literal in generator["literals"]]
    variables += [(said["name"], said["value"]) for said in aws_batch["containerProperties"]["environment"]]
    variables += [*gcp_batch["taskSpec"]["environment"]["variables"].items(), *variables_of(job).items()]
    ours = [(name, value) for name, value in variables if name.startswith(ENVIRONMENT_PREFIX)]
    assert len(ours) == 14
    for name, value in ours:
        check_variable(name, value)


def test_the_image_and_every_engine_name_one_user(job: Any, aws_batch: Any) -> None:
    """The image's user is the pod's, its volumes' group and AWS Batch's."""
    security = job["spec"]["template"]["spec"]["securityContext"]
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"]
    user = f"{security['runAsUser']}:{security['runAsGroup']}"
    assert f"\nUSER {user}\n" in (ROOT / "Dockerfile").read_text()
    assert aws_batch["containerProperties"]["user"] == user
