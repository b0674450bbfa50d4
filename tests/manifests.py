"""The Kubernetes objects and the definitions for cloud engines, as tests read them."""

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml


@functools.cache
def render(folder: Path) -> dict[str, Any]:
    """Return the objects of a kustomization by kind; skip where nothing here can build one."""
    tools = (["kubectl", "kustomize"], ["kustomize", "build"])
    command = next((tool for tool in tools if shutil.which(tool[0])), None)
    if command is None:
        pytest.skip("neither kubectl nor kustomize is here to render the overlays")
    rendered = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=True).stdout
    return {document["kind"]: document for document in yaml.safe_load_all(rendered)}


def variables_of(job: Any) -> dict[str, str]:
    """Return the variables that the pods have by name, beside the ConfigMap's."""
    return {said["name"]: said["value"] for said in job["spec"]["template"]["spec"]["containers"][0]["env"]}
