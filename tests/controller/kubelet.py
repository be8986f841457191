"""The kubelet's own code for credential providers, run as a program: what a pull would log in with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from regauth.controller.configuration import read_configuration
from regauth.controller.installing.plugin import kubelet_configuration
from regauth.controller.installing.yaml_blocks import to_yaml

from .kube_apiserver import NODE, KubeApiServer
from .listening import Object


def make_pod(api: KubeApiServer, account: str = "builder") -> Object:
    """Create a pod on the node, in the namespace `team-a`."""
    body: Object = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "namespace": "team-a"},
        "spec": {
            "nodeName": NODE, "serviceAccountName": account,
            "containers": [{"name": "main", "image": "registry.example.com/team-a/app"}],
        },
    }  # fmt: skip
    api.ask("DELETE", "/api/v1/namespaces/team-a/pods/pod?gracePeriodSeconds=0")
    status, made = api.ask("POST", "/api/v1/namespaces/team-a/pods", body)
    assert status == 201, made
    return made


def kubelet_logins(
    api: KubeApiServer, file: Path, pod: Object, folder: Path, *images: str
) -> list[list[tuple[str, str]]]:
    """
    Return for each image the logins that the kubelet would try, by the plugin.

    Args:
        api: Where the kubelet requests the pod's token.
        file: `controller.yaml`.
        pod: A pod on the node.
        folder: Where the kubelet's configuration and the plugin are put.
        images: What the pod pulls.
    """
    program = Path(os.environ["KUBEBUILDER_ASSETS"]) / "kubelet-credentials"
    if not program.exists():
        pytest.skip(
            "KUBEBUILDER_ASSETS has no kubelet-credentials; build_kube_apiserver.py builds it"
        )
    plugin = folder / "bin" / "regauth-credential-provider"
    plugin.parent.mkdir(parents=True, exist_ok=True)
    config = kubelet_configuration(read_configuration(file).settings, api.version)
    (folder / "config.yaml").write_text(to_yaml([config]))
    plugin.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m regauth.controller.helpers.kubelet_plugin "$@"\n'
    )
    plugin.chmod(0o755)
    place = ("team-a", "pod", pod["metadata"]["uid"], pod["spec"]["serviceAccountName"])
    done = subprocess.run(
        [program, folder / "config.yaml", plugin.parent, *place, *images],
        env={**os.environ, "SERVER": api.upstream, "BEARER": api.node_bearer},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [
        [(user, password) for user, password in json.loads(one)] for one in done.stdout.splitlines()
    ]
