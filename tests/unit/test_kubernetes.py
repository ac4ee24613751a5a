"""The Helm chart, and the plain manifest that is made from it: what they promise, and that they are what the platform has.

Where `helm` is installed, the chart is rendered here and compared with the manifest; the digest in its first line says
elsewhere that the chart is still the same. Where `kubernetes-validate` is, Kubernetes' own schemas are asked.
"""

from __future__ import annotations

import importlib.util
import shutil
from types import ModuleType
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from perdure.settings.settings import DEFAULT_BULKHEADS, Settings
from perdure_workers.cli.main import perdure
from support.compose import ROOT


@pytest.fixture(scope="module")
def chart() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render_chart", ROOT / "deploy/render_chart.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def manifest(chart: ModuleType) -> dict[tuple[str, str], Any]:
    """The manifest's objects by kind and name."""
    found = yaml.safe_load_all(chart.MANIFEST.read_text())
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def pods(manifest: dict[tuple[str, str], Any]) -> dict[str, Any]:
    """Return the pods' specifications by the name of what makes them."""
    makers = {name: each for (kind, name), each in manifest.items() if kind in ("Deployment", "Job")}
    return {name: each["spec"]["template"]["spec"] for name, each in makers.items()}


def test_the_manifest_is_made_from_this_chart(chart: ModuleType) -> None:
    assert chart.digest() in chart.MANIFEST.read_text().splitlines()[0], "run: python deploy/render_chart.py"


@pytest.mark.skipif(shutil.which("helm") is None, reason="needs helm; the digest is compared in any case")
def test_helm_renders_it_the_same(chart: ModuleType) -> None:
    assert chart.rendered() == chart.MANIFEST.read_text()
    assert chart.rendered("--set", "keda.enabled=true").count("kind: ScaledObject") == len(DEFAULT_BULKHEADS)


@pytest.mark.parametrize("version", ["1.30", "1.34", "1.37"])
def test_the_manifest_is_valid_by_the_schemas_of_kubernetes(version: str, manifest: dict[tuple[str, str], Any]) -> None:
    schemas = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate: uv run --with")
    for each in manifest.values():
        schemas.validate(each, version, strict=True)


def test_nothing_is_root_or_writes_outside_of_memory(manifest: dict[tuple[str, str], Any]) -> None:
    assert len(pods(manifest)) == len(DEFAULT_BULKHEADS) + 3
    for name, pod in pods(manifest).items():
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001), name
        assert pod["automountServiceAccountToken"] is False, name
        assert all(volume["emptyDir"]["medium"] == "Memory" for volume in pod["volumes"]), name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["limits"]["memory"], name


def test_each_bulkhead_has_workers_that_may_drain_and_are_not_evicted_all_at_once(
    manifest: dict[tuple[str, str], Any],
) -> None:
    for bulkhead in DEFAULT_BULKHEADS:
        name = f"perdure-worker-{bulkhead}"
        pod = pods(manifest)[name]
        assert pod["terminationGracePeriodSeconds"] > Settings().drain_timeout
        assert pod["containers"][0]["args"][3:5] == ["worker", bulkhead]
        assert manifest["PodDisruptionBudget", name]["spec"]["maxUnavailable"] == 1


def test_probes_ask_the_process_itself_at_the_port_that_it_serves(manifest: dict[tuple[str, str], Any]) -> None:
    for name, pod in pods(manifest).items():
        [container] = pod["containers"]
        if name == "perdure-migrate":
            continue
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        paths = [container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")]
        environment = {each["name"]: each["value"] for each in container["env"]}
        if name == "perdure-flower":
            assert (paths, ports["http"]) == (["/healthcheck"] * 2, int(container["args"][-1]))
            assert container["lifecycle"]["preStop"]
        else:
            assert (paths, ports["http"]) == (["/livez", "/readyz"], int(environment["PERDURE_HTTP_PORT"]))
        assert {variable.removeprefix("PERDURE_").lower() for variable in environment} <= set(Settings.__struct_fields__)


def test_each_command_is_one_of_the_command_line(manifest: dict[tuple[str, str], Any]) -> None:
    for pod in pods(manifest).values():
        program, *arguments = pod["containers"][0]["args"]
        assert program == "perdure"
        told = CliRunner().invoke(perdure, [*arguments, "--help"])
        assert told.exit_code == 0, told.output


def test_nobody_comes_in_but_who_reads_metrics_and_who_may_see_flower(manifest: dict[tuple[str, str], Any]) -> None:
    policies = {name: each["spec"] for (kind, name), each in manifest.items() if kind == "NetworkPolicy"}
    assert policies["perdure-closed"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policies["perdure-closed"]
    allowed = {name: each["ingress"][0]["ports"] for name, each in policies.items() if "ingress" in each}
    assert allowed == {"perdure-metrics": [{"port": "http"}], "perdure-flower": [{"port": "http"}]}
