"""What a row of probe answers means, by Kubernetes' thresholds. Pure.

Source: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
"""

from dataclasses import dataclass

from tidegate.model.workload import Probe


@dataclass
class Streak:
    """The answers of one probe of one incarnation of an instance.

    `value` is None while unknown. It turns True after `success_threshold` successes in a row, and False after
    `failure_threshold` failures in a row; a `fresh` readiness is False from its first failure on, for an instance that
    never was ready needs no three chances to stay so.
    """

    probe: Probe
    fresh: bool
    value: bool | None = None
    successes: int = 0
    failures: int = 0
    detail: str = ""

    def add(self, success: bool, detail: str) -> bool:
        """Count one answer; whether `value` changed by it."""
        before = self.value
        if success:
            self.successes, self.failures, self.detail = self.successes + 1, 0, ""
            if self.successes >= self.probe.success_threshold:
                self.value = True
        else:
            self.successes, self.failures = 0, self.failures + 1
            self.detail = f"{detail} ({self.failures} in a row)"
            if self.failures >= self.probe.failure_threshold or (self.fresh and self.value is None):
                self.value = False
        return self.value is not before
