"""The chart as Helm renders it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from helm_python.chart import Chart

CHART = Path(__file__).parents[2] / "helm" / "gateway"
Values = dict[str, Any]
Manifest = dict[str, Any]

NEEDED: Values = {
    "gateway": {"control": {"credentialsSecret": "gateway-credentials", "caSecret": "control-plane-tls"}},
    "controlPlane": {
        "tls": {"secretName": "control-plane-tls"},
        "database": {"secretName": "store"},
        "sealingKey": {"secretName": "sealing"},
    },
}
"""What nobody can choose for the user."""


def merged(base: Values, over: Values) -> Values:
    """``base`` with the values of ``over`` in it, as ``helm --values a --values b`` does it."""
    result = deepcopy(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def render(values: Values | None = None, *, needed: Values | None = None) -> dict[tuple[str, str], Manifest]:
    """Every manifest by kind and name, for a release ``qg`` in the namespace ``db``."""
    with Chart.load(CHART) as chart:
        texts = chart.render(merged(NEEDED if needed is None else needed, values or {}), name="qg", namespace="db")
    documents = [document for text in texts.values() for document in yaml.safe_load_all(text) if document]
    found = {(document["kind"], document["metadata"]["name"]): document for document in documents}
    assert len(found) == len(documents), "two manifests of the same kind and name"
    return found
