"""An autoscaling rule as KEDA takes it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from perfkit.scenario import Autoscale

__all__ = ["METRIC", "keda_document"]

METRIC: Final = "perfkit_queue_oldest_age_seconds"
"""Age of the oldest waiting job, by label ``queue``."""

_LONGEST_STABILIZATION_S = 3600
_LONGEST_PERIOD_S = 1800


def keda_document(
    rule: Autoscale,
    deployment: str,
    prometheus_address: str,
    *,
    queues: Sequence[str] = (),
) -> dict[str, Any]:
    """A ``ScaledObject`` that scales a deployment as the rule scales a pool.

    ``queues``: those of the pool, empty for all. One pod is one worker process. The document is
    plain data: ``json.dumps`` of it is a file for ``kubectl apply``.

    What Kubernetes does in another way:

    * Times are whole seconds; ``every`` becomes ``pollingInterval``, but the autoscaler behind it
      looks every 15 s unless the cluster is told otherwise.
    * Up: the same formula (metric type ``Value``), except that within 10 % of the target nothing
      is changed.
    * Down: KEDA's ``cooldownPeriod`` is only about the step to zero. One pod fewer in ``cooldown``
      is a policy of the autoscaler; it wants the metric below what *fewer* pods would have,
      not below half the target, and its stabilization window is at most an hour.
    * A level that could not be held is tried again after each cooldown; the rule here waits
      longer each time.
    """
    cooldown_s = _seconds(rule.cooldown_ns)
    labels = "|".join(re.escape(queue).replace("\\", "\\\\") for queue in queues)
    selector = f'{{queue=~"{labels}"}}' if queues else ""
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": f"{deployment}-{rule.metric.replace('.', '-')}"},
        "spec": {
            "scaleTargetRef": {"name": deployment},
            "pollingInterval": _seconds(rule.every_ns),
            "cooldownPeriod": cooldown_s,
            "minReplicaCount": rule.minimum,
            "maxReplicaCount": rule.maximum,
            "advanced": {
                "horizontalPodAutoscalerConfig": {"behavior": _behavior(rule, cooldown_s)}
            },
            "triggers": [
                {
                    "type": "prometheus",
                    "metricType": "Value",
                    "metadata": {
                        "serverAddress": prometheus_address,
                        "query": f"max({METRIC}{selector})",
                        "threshold": f"{rule.target_ns / 1e9:g}",
                    },
                }
            ],
        },
    }


def _behavior(rule: Autoscale, cooldown_s: int) -> dict[str, Any]:
    """At once upwards, by one in a cooldown downwards."""
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": max(rule.maximum, 1), "periodSeconds": 1}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": min(cooldown_s, _LONGEST_STABILIZATION_S),
            "policies": [
                {"type": "Pods", "value": 1, "periodSeconds": min(cooldown_s, _LONGEST_PERIOD_S)}
            ],
        },
    }


def _seconds(ns: int) -> int:
    return max(1, math.ceil(ns / 1e9))
