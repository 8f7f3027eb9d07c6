"""The report: a table for people, JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from harness.figures import Figure, number
from harness.subjects import CHAOS

COLUMNS = f"  {'':<13}{'figure':>11}   {'min .. max':<23}{'chaos-proxy/it':<22}{'target':<15}"


def print_table(head: dict[str, str], figures: list[Figure]) -> None:
    """Prints every figure, one block each."""
    for key, value in head.items():
        print(f"{key:<12} {value}")
    for figure in figures:
        print(f"\n{figure.name}, {figure.unit}")
        print(COLUMNS.rstrip())
        for subject in [
            *figure.samples,
            *(name for name in figure.failures if name not in figure.samples),
        ]:
            print(line(figure, subject).rstrip())
    print(f"\n{summary(figures)}")


def line(figure: Figure, subject: str) -> str:
    """One subject's figure, its ratio and its target."""
    if subject in figure.failures:
        return f"  {subject:<13}NOT MEASURED: {figure.failures[subject]}"
    samples = figure.samples[subject]
    spread = f"{number(min(samples))} .. {number(max(samples))}"
    value, ratio = number(figure.value(subject)), ratio_text(figure, subject)
    return f"  {subject:<13}{value:>11}   {spread:<23}{ratio:<22}{target_text(figure, subject)}"


def ratio_text(figure: Figure, subject: str) -> str:
    """How chaos-proxy compares, where a comparison says something."""
    ratios = figure.ratios(subject) if figure.ratio_targets and subject != CHAOS else []
    if not ratios:
        return ""
    return f"{median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"


def target_text(figure: Figure, subject: str) -> str:
    """The target that concerns this line, and whether it is reached."""
    verdict = figure.verdicts().get(subject)
    if verdict is None:
        return ""
    if subject == CHAOS and figure.limit is not None:
        wanted = figure.limit.text
    else:
        wanted = f">= {figure.ratio_targets[subject]:.2f}"
    return f"{wanted:<15}{'reached' if verdict else 'NOT REACHED'}"


def summary(figures: list[Figure]) -> str:
    """How many targets are reached, and which are not."""
    verdicts = [
        (figure, subject, good) for figure in figures for subject, good in figure.verdicts().items()
    ]
    missed = [f"  {figure.name} ({subject})" for figure, subject, good in verdicts if not good]
    text = f"{len(verdicts) - len(missed)} of {len(verdicts)} targets reached"
    return "\n".join([text + ("; not reached:" if missed else ""), *missed])


def write_json(path: Path, head: dict[str, Any], figures: list[Figure]) -> None:
    """Writes everything that was measured."""
    report = {"head": head, "figures": [figure.as_json() for figure in figures]}
    path.write_text(json.dumps(report, indent=1) + "\n")
