"""What was measured, what it is compared with, whether a target is reached. Starts nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from harness.subjects import CHAOS

Statistic = Callable[[list[float]], float]


def percentile(percent: float) -> Statistic:
    """The sample that `percent` of all samples do not exceed (nearest rank)."""

    def at(samples: list[float]) -> float:
        rank = math.ceil(percent / 100 * len(samples))
        return sorted(samples)[max(rank, 1) - 1]

    return at


@dataclass(frozen=True)
class Limit:
    """The range in which chaos-proxy's figure has to be."""

    text: str
    high: float
    low: float = -math.inf

    def holds(self, value: float) -> bool:
        """Whether the range contains the value."""
        return self.low <= value <= self.high


def at_most(high: float) -> Limit:
    """An upper limit."""
    return Limit(text=f"<= {number(high)}", high=high)


def exactly(value: float) -> Limit:
    """One value and no other."""
    return Limit(text=f"= {number(value)}", high=value, low=value)


def within(distance: float) -> Limit:
    """A distance from zero, on both sides."""
    return Limit(text=f"within {number(distance)}", high=distance, low=-distance)


@dataclass
class Figure:
    """One thing measured, for each subject, with chaos-proxy's targets."""

    part: str
    name: str
    unit: str
    # The least acceptable chaos-proxy/subject, by subject.
    ratio_targets: dict[str, float] = field(default_factory=dict)
    limit: Limit | None = None
    statistic: Statistic = median
    samples: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, subject: str, *values: float) -> None:
        """Notes what one round measured."""
        self.samples.setdefault(subject, []).extend(values)

    def value(self, subject: str) -> float:
        """The one number for a subject."""
        return self.statistic(self.samples[subject])

    def ratios(self, subject: str) -> list[float]:
        """chaos-proxy/subject, round by round: what disturbs a whole round cancels out."""
        ours_theirs = self.samples.get(CHAOS, []), self.samples.get(subject, [])
        pairs = zip(*ours_theirs, strict=False)  # who failed midway has fewer rounds
        return [ours / theirs for ours, theirs in pairs if theirs > 0]

    def verdicts(self) -> dict[str, bool]:
        """Reached or not, by subject that a target concerns. Not measured is not reached."""
        found = {}
        for subject, least in self.ratio_targets.items():
            if subject in self.samples or CHAOS in self.failures:
                ratios = self.ratios(subject)
                found[subject] = (
                    bool(ratios) and CHAOS not in self.failures and median(ratios) >= least
                )
        if self.limit is not None:
            measured = CHAOS in self.samples and CHAOS not in self.failures
            found[CHAOS] = measured and self.limit.holds(self.value(CHAOS))
        return found

    def as_json(self) -> dict[str, Any]:
        """The figure for other programs, with every sample."""
        return {
            "part": self.part,
            "name": self.name,
            "unit": self.unit,
            "values": {subject: self.value(subject) for subject in self.samples},
            "samples": self.samples,
            "ratios": {
                subject: median(self.ratios(subject))
                for subject in self.ratio_targets
                if self.ratios(subject)
            },
            "ratioTargets": self.ratio_targets,
            "limit": self.limit.text if self.limit is not None else None,
            "reached": self.verdicts(),
            "failures": self.failures,
        }


def number(value: float) -> str:
    """A number with as many digits as say something."""
    if value == int(value):
        return f"{int(value):,}"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"
