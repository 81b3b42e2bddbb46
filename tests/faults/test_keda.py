"""A rule as a KEDA document."""

from __future__ import annotations

import json

from perfkit.faults import keda_document
from perfkit.scenario import Autoscale


def test_a_rule_becomes_a_scaled_object() -> None:
    rule = Autoscale(target="500ms", minimum=1, maximum=8, every="1500ms", cooldown="10s")  # type: ignore[arg-type]
    document = keda_document(rule, "workers", "http://prometheus:9090")
    assert json.loads(json.dumps(document)) == document
    assert (document["apiVersion"], document["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    assert document["metadata"] == {"name": "workers-queue-age"}
    spec = document["spec"]
    assert spec["scaleTargetRef"] == {"name": "workers"}
    assert spec["pollingInterval"] == 2  # whole seconds, never sooner than asked
    assert spec["cooldownPeriod"] == 10
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 8)
    (trigger,) = spec["triggers"]
    assert trigger["type"] == "prometheus"
    # With the type that is the default, the formula would leave out the pods there are.
    assert trigger["metricType"] == "Value"
    assert trigger["metadata"] == {
        "serverAddress": "http://prometheus:9090",
        "query": "max(perfkit_queue_oldest_age_seconds)",
        "threshold": "0.5",
    }


def test_one_pod_fewer_in_a_cooldown_and_all_that_are_needed_at_once() -> None:
    rule = Autoscale(cooldown="2h", maximum=8)  # type: ignore[arg-type]
    spec = keda_document(rule, "workers", "http://prometheus:9090")["spec"]
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    # Kubernetes takes an hour at the most here, and half an hour there.
    assert behavior["scaleDown"] == {
        "stabilizationWindowSeconds": 3600,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 1800}],
    }
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleUp"]["policies"][0]["value"] == 8


def test_a_pool_is_scaled_by_its_own_queues() -> None:
    document = keda_document(
        Autoscale(), "payments", "http://prometheus:9090", queues=["payments", "pay.out"]
    )
    query = document["spec"]["triggers"][0]["metadata"]["query"]
    # The dot is escaped for the expression, and its backslash for the string around it.
    assert query == r'max(perfkit_queue_oldest_age_seconds{queue=~"payments|pay\\.out"})'
