"""What the clouds let the job do: its work and nothing else."""

import fnmatch
import json
from typing import Any

import pytest
import yaml

from tests.jobs import ROOT


def iam(name: str) -> Any:
    """Return one of the policies for clouds."""
    return json.loads((ROOT / "cloud/iam" / f"{name}.json").read_text())


def is_allowed(policy: Any, action: str, resource: str, prefix: str = "") -> bool:
    """Tell what AWS would: some statement allows it, and none denies it."""
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
