"""The definitions for batch engines as fixtures: `pytest_plugins = ["tests.definitions"]`."""

import json
from typing import Any

import pytest
import yaml

from tests.jobs import ROOT


@pytest.fixture
def job() -> Any:
    """The Job as it is written, before kustomize."""
    return yaml.safe_load((ROOT / "k8s/base/job.yaml").read_text())


@pytest.fixture
def aws_batch() -> Any:
    """The AWS Batch job definition."""
    return json.loads((ROOT / "cloud/aws-batch.json").read_text())


@pytest.fixture
def gcp_batch() -> Any:
    """The task group of the GCP Batch job."""
    return json.loads((ROOT / "cloud/gcp-batch.json").read_text())["taskGroups"][0]
