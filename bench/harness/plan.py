"""How much is measured: a default run and a quick one, and the loop over rounds and subjects."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.figures import Figure
from harness.processes import MeasureError, Processes
from harness.tools import Tools, say

# Holding thousands of connections takes long and varies little.
IDLE_ROUNDS_MAX = 2


@dataclass(frozen=True)
class Plan:
    """What a run does. The counts of samples are those of the whole run, spread over its rounds."""

    tools: Tools
    rounds: int
    idle_rounds: int
    seconds: float
    idle_seconds: float
    samples_by_latency_ms: dict[int, int]
    samples_plain: int
    starts: int


def default_plan(tools: Tools, rounds: int) -> Plan:
    """The run that figures are quoted from."""
    return Plan(
        tools=tools,
        rounds=rounds,
        idle_rounds=min(rounds, IDLE_ROUNDS_MAX),
        seconds=3.0,
        idle_seconds=5.0,
        samples_by_latency_ms={1: 2000, 10: 1000, 100: 200},
        samples_plain=10_000,
        starts=10,
    )


def quick_plan(tools: Tools, rounds: int) -> Plan:
    """A look while working: the same figures, with more noise."""
    return Plan(
        tools=tools,
        rounds=rounds,
        idle_rounds=1,
        seconds=1.0,
        idle_seconds=5.0,
        samples_by_latency_ms={1: 500, 10: 200, 100: 30},
        samples_plain=2_000,
        starts=5,
    )


@contextmanager
def processes() -> Iterator[Processes]:
    """The processes of one measurement, with a folder for their files that goes with them."""
    with (
        tempfile.TemporaryDirectory(prefix="chaos-bench-") as folder,
        Processes(Path(folder)) as group,
    ):
        try:
            yield group
        except MeasureError as error:
            raise MeasureError(f"{error}{group.deaths()}") from error


def each_round(
    rounds: int, subjects: list[str], figures: list[Figure], measure: Callable[[str], None]
) -> None:
    """A B C D A B C D: every subject once a round; one that fails is left out from then on."""
    for index in range(rounds):
        for subject in subjects:
            if any(subject in figure.failures for figure in figures):
                continue
            try:
                measure(subject)
            except MeasureError as error:
                note_failure(figures, subject, str(error))
        say(f"{figures[0].name}: round {index + 1} of {rounds}")


def note_failure(figures: list[Figure], subject: str, reason: str) -> None:
    """Marks a subject as not measured, aloud."""
    say(f"{figures[0].name}: {subject} NOT MEASURED: {reason}")
    for figure in figures:
        figure.failures.setdefault(subject, reason)
