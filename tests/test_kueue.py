"""The overlay for Kueue and the queue that it waits in fit together."""

from typing import Any, Final

import pytest
import yaml

from tests.jobs import ROOT
from tests.manifests import render, variables_of

OVERLAY: Final = ROOT / "k8s/overlays/kueue"


@pytest.fixture
def queues() -> dict[str, list[Any]]:
    """The administrator's objects by kind."""
    objects = list(yaml.safe_load_all((OVERLAY / "queues.yaml").read_text()))
    return {kind: [one for one in objects if one["kind"] == kind] for kind in {one["kind"] for one in objects}}


def test_the_job_waits_in_the_queue_until_it_is_admitted(queues: dict[str, list[Any]]) -> None:
    """The Job begins suspended and names a queue that is there, which leads to one with quotas."""
    job = render(OVERLAY)["Job"]
    (local,), (cluster,) = queues["LocalQueue"], queues["ClusterQueue"]
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == local["metadata"]["name"]
    assert local["spec"]["clusterQueue"] == cluster["metadata"]["name"]


def test_it_may_begin_with_fewer_pods() -> None:
    """Kueue refuses a least number of pods that is not below the number at a time."""
    job = render(OVERLAY)["Job"]
    assert 0 < int(job["metadata"]["annotations"]["kueue.x-k8s.io/job-min-parallelism"]) < job["spec"]["parallelism"]


def test_it_ends_in_the_time_that_a_spot_node_leaves() -> None:
    """A spot node of GKE kills pods 15 s after its signal, whatever their own grace."""
    job = render(OVERLAY)["Job"]
    assert float(variables_of(job)["JOB_GRACE_S"]) + 5 <= 15


def test_the_queue_covers_all_that_a_pod_asks_for(queues: dict[str, list[Any]]) -> None:
    """A Job that asks for a resource without a quota waits for ever; every flavor has room for one pod at least."""
    pod = render(OVERLAY)["Job"]["spec"]["template"]["spec"]
    asked = pod["containers"][0]["resources"]["limits"].keys()
    (group,) = queues["ClusterQueue"][0]["spec"]["resourceGroups"]
    assert asked == set(group["coveredResources"])
    assert all([one["name"] for one in flavor["resources"]] == group["coveredResources"] for flavor in group["flavors"])


def test_every_flavor_is_there(queues: dict[str, list[Any]]) -> None:
    """A queue whose flavor is missing admits nothing; spot nodes come first."""
    (group,) = queues["ClusterQueue"][0]["spec"]["resourceGroups"]
    named = [flavor["name"] for flavor in group["flavors"]]
    assert named == [one["metadata"]["name"] for one in queues["ResourceFlavor"]] == ["spot", "on-demand"]
