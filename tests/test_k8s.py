"""The Kubernetes objects: a hardened pod, a closed network, and a kustomization that tells its pods what they need."""

import shutil
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.jobs import ROOT
from tests.manifests import render, variables_of

pytest_plugins = ["tests.definitions"]

FOLDERS = ("base", *(f"overlays/{path.name}" for path in sorted((ROOT / "k8s/overlays").iterdir())))


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
