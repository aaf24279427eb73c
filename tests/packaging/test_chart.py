"""The Helm chart: what it renders is valid, hardened, and refuses values that it does not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml
from helm_python.chart import Chart
from helm_python.errors import HelmError

from tests.packaging.chart import CHART, Manifest, Values, render

GATEWAY, PLANE = "qg-gateway", "qg-gateway-control-plane"
EVERYTHING: Values = {
    "imagePullSecrets": [{"name": "registry"}],
    "databaseSecrets": [{"variable": "QUERYGATE_SECRET_SHOP", "secretName": "shop", "key": "password"}],
    "authoritiesSecret": "authorities",
    "gateway": {
        "tls": {"secretName": "gateway-tls"},
        "maskingKeySecret": "masking",
        "limits": {"max_sessions": 500},
        "audit": {"literals": "hash"},
        "persistence": {"storageClass": "fast"},
        "podAnnotations": {"note": "x"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "db", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
    },
    "controlPlane": {
        "proxies": {"trusted": ["10.96.0.0/12"]},
        "oidc": [{"issuer": "https://id.example.com", "audience": "querygate", "roles": {"dba": "owner"}}],
        "persistence": {"storageClass": "fast"},
        "podAnnotations": {"note": "x"},
        "nodeSelector": {"disk": "ssd"},
    },
    "networkPolicy": {
        "metrics": [{"namespaceSelector": {}}],
        "databases": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "extraEgress": [{"ports": [{"protocol": "TCP", "port": 443}]}],
    },
}


def pods(manifests: dict[tuple[str, str], Manifest]) -> Iterator[Manifest]:
    for (kind, _), manifest in manifests.items():
        if kind in ("Deployment", "StatefulSet"):
            yield manifest["spec"]["template"]["spec"]


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
@pytest.mark.parametrize("version", ["1.29", "1.33"])
def test_every_manifest_is_valid_for_kubernetes(values: Values, version: str) -> None:
    manifests = render(values)
    assert {kind for kind, _ in manifests} >= {"Deployment", "StatefulSet", "NetworkPolicy", "PodDisruptionBudget"}
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_no_container_has_more_than_it_needs(values: Values) -> None:
    seen = 0
    for pod in pods(render(values)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] >= 10_000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            writable = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
            assert writable <= {"data", "tmp"}
            seen += 1
    assert seen == (4 if values else 3)


def test_probes_tell_a_gateway_that_serves_from_one_that_lives() -> None:
    gateway, plane = (
        render()[key]["spec"]["template"]["spec"]["containers"][0]
        for key in (("StatefulSet", GATEWAY), ("Deployment", PLANE))
    )
    for container, scheme in ((gateway, None), (plane, "HTTPS")):
        for probe, path in (("startup", "/health/live"), ("liveness", "/health/live"), ("readiness", "/health")):
            asked = container[f"{probe}Probe"]["httpGet"]
            assert (asked["path"], asked.get("scheme")) == (path, scheme)
            assert asked["port"] in {port["name"] for port in container["ports"]}


def test_a_stopping_gateway_gets_the_time_that_its_statements_get() -> None:
    manifests = render({"gateway": {"drainSeconds": 90, "preStopSeconds": 7}})
    pod = manifests["StatefulSet", GATEWAY]["spec"]["template"]["spec"]
    assert configuration(manifests, GATEWAY)["limits"]["drain_timeout"] == "90s"
    assert pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "7"]
    assert pod["terminationGracePeriodSeconds"] > 90 + 7


def test_one_tcp_service_for_each_protocol_that_is_spoken() -> None:
    manifests = render({"gateway": {"listeners": {"mysql": {"enabled": False}}}})
    services = {name: item["spec"] for (kind, name), item in manifests.items() if kind == "Service"}
    assert set(services) == {f"{GATEWAY}-postgres", f"{GATEWAY}-mongodb", f"{GATEWAY}-gateways", PLANE}
    assert services[f"{GATEWAY}-postgres"]["ports"] == [
        {"name": "postgres", "port": 5432, "targetPort": "postgres", "protocol": "TCP"}
    ]
    labels = manifests["StatefulSet", GATEWAY]["spec"]["template"]["metadata"]["labels"]
    assert services[f"{GATEWAY}-postgres"]["selector"].items() <= labels.items()
    plane = manifests["Deployment", PLANE]["spec"]["template"]["metadata"]["labels"]
    assert not services[f"{GATEWAY}-postgres"]["selector"].items() <= plane.items(), "clients never reach the API's pod"


def test_the_network_is_closed_but_for_what_is_needed() -> None:
    manifests = render()
    gateway = manifests["NetworkPolicy", GATEWAY]["spec"]
    assert gateway["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for port in gateway["ingress"][0]["ports"]] == [27018, 6033, 6432]
    assert len(gateway["ingress"]) == 1, "metrics are for nobody who is not named"
    allowed = {port["port"] for rule in gateway["egress"] for port in rule["ports"]}
    assert allowed == {53, 5432, 3306, 27017, 8080}
    plane = manifests["NetworkPolicy", PLANE]["spec"]
    assert [port["port"] for port in plane["ingress"][0]["ports"]] == [8080]
    assert "NetworkPolicy" not in {kind for kind, _ in render({"networkPolicy": {"enabled": False}})}


def test_a_control_plane_elsewhere() -> None:
    control = {"credentialsSecret": "c", "url": "https://querygate.example.com:9443"}
    manifests = render({"controlPlane": {"enabled": False}, "gateway": {"control": control}}, needed={})
    assert not any(name.endswith("control-plane") for _, name in manifests)
    assert configuration(manifests, GATEWAY)["control"]["url"] == control["url"]
    assert {"protocol": "TCP", "port": 9443} in manifests["NetworkPolicy", GATEWAY]["spec"]["egress"][-1]["ports"]


def test_secrets_are_named_and_never_held() -> None:
    manifests = render(EVERYTHING)
    assert "Secret" not in {kind for kind, _ in manifests}
    for pod in pods(manifests):
        for variable in pod["containers"][0]["env"]:
            assert set(variable["valueFrom"]) <= {"secretKeyRef", "fieldRef"}
    gateway = manifests["StatefulSet", GATEWAY]["spec"]["template"]["spec"]
    (mount,) = (m for m in gateway["containers"][0]["volumeMounts"] if m["name"] == "credentials")
    assert mount["subPathExpr"] == "$(POD_NAME)", "a gateway sees its own credential only"
    authority = next(volume for volume in gateway["volumes"] if volume["name"] == "control-ca")
    assert authority["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}], "not the control plane's key"


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"gateways": {}}, "gateways"),
        ({"gateway": {"replica": 3}}, "replica"),
        ({"gateway": {"listeners": {"oracle": {}}}}, "oracle"),
        ({"gateway": {"limits": {"drain_timeout": "1s"}}}, "drain_timeout"),
        ({"gateway": {"control": {"url": "http://plain.example.com"}}}, "url"),
        ({"databaseSecrets": [{"variable": "PATH", "secretName": "s", "key": "k"}]}, "variable"),
        ({"databaseSecrets": [{"variable": "QUERYGATE_SECRET_X", "value": "hunter2"}]}, "value"),
        ({"image": {"digest": "latest"}}, "digest"),
    ],
)
def test_a_value_that_nobody_knows_is_refused(values: Values, word: str) -> None:
    with pytest.raises(HelmError, match=word):
        render(values)


@pytest.mark.parametrize(
    ("missing", "word"),
    [
        ({"gateway": {"control": {"credentialsSecret": ""}}}, "credentialsSecret"),
        ({"controlPlane": {"tls": {"secretName": ""}}}, "controlPlane.tls.secretName"),
        ({"controlPlane": {"database": {"secretName": ""}}}, "controlPlane.database.secretName"),
        ({"controlPlane": {"sealingKey": {"secretName": ""}}}, "controlPlane.sealingKey.secretName"),
        ({"controlPlane": {"enabled": False}}, "gateway.control.url"),
    ],
)
def test_what_is_missing_is_named(missing: Values, word: str) -> None:
    with pytest.raises(HelmError, match=word):
        render(missing)


def test_schema_and_readme_know_every_value() -> None:
    readme = (CHART / "README.md").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())
    with Chart.load(CHART) as chart:
        defaults = chart.values

    def walk(values: dict[str, Any], shape: dict[str, Any], path: str) -> Iterator[str]:
        assert shape["additionalProperties"] is False, path
        assert set(shape["properties"]) >= set(values), path
        for key, value in values.items():
            inner = shape["properties"][key]
            if isinstance(value, dict) and "properties" in inner and value and set(inner["properties"]) >= set(value):
                yield from walk(value, inner, f"{path}{key}.")
            else:
                yield f"{path}{key}"

    paths = [path.replace("listeners.mysql", "listeners.postgres") for path in walk(defaults, schema, "")]
    paths = [path.replace("listeners.mongodb", "listeners.postgres") for path in paths]
    assert len(paths) > 50
    assert [path for path in paths if f"`{path}`" not in readme] == []


def test_a_service_monitor_where_it_is_wanted() -> None:
    assert "ServiceMonitor" not in {kind for kind, _ in render()}
    monitor = render({"serviceMonitor": {"enabled": True, "labels": {"team": "db"}}})["ServiceMonitor", GATEWAY]
    assert monitor["spec"]["endpoints"] == [{"port": "health", "path": "/metrics", "interval": "30s"}]
    assert monitor["metadata"]["labels"]["team"] == "db"


def configuration(manifests: dict[tuple[str, str], Manifest], name: str) -> dict[str, Any]:
    """The gateway's configuration in a ConfigMap."""
    found: dict[str, Any] = yaml.safe_load(manifests["ConfigMap", name]["data"]["querygate.yaml"])
    return found
