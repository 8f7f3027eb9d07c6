"""Part 5: how exact an injected latency is, and what passing through costs."""

from __future__ import annotations

from statistics import median

from harness.figures import Figure, at_most, percentile, within
from harness.plan import Plan, each_round, note_failure, processes
from harness.processes import MeasureError, Processes, free_port, run_json
from harness.subjects import (
    CHAOS,
    DIRECT,
    HAPROXY,
    TOXIPROXY,
    Running,
    start_chaos_delayed,
    start_haproxy,
    start_toxiproxy_delayed,
    subjects,
)

PING_SECONDS_MAX = 90.0
P50_LIMIT_MS = 0.3
P99_LIMIT_MS = 1.0
ADDED_LIMIT_US = 60.0


def latency(plan: Plan) -> list[Figure]:
    """Round trips: plain ones first, whose direct median is then taken off the delayed ones."""
    added = Figure(
        part="latency",
        name="pass-through: added to a round trip at p50",
        unit="us",
        limit=at_most(ADDED_LIMIT_US),
    )
    errors = {latency_ms: error_figures(latency_ms) for latency_ms in plan.samples_by_latency_ms}
    with processes() as group:
        upstream = free_port()
        group.start([plan.tools.load, "serve", str(upstream)], [upstream])
        everything = [added, *(figure for pair in errors.values() for figure in pair)]
        running = start_delayed(plan, group, upstream, everything)
        direct_us = measure_added(plan, running, added)
        for latency_ms, figures in errors.items():
            delaying = [
                name for name, subject in running.items() if latency_ms in subject.ports_by_latency
            ]
            count = max(plan.samples_by_latency_ms[latency_ms] // plan.rounds, 1)

            def measure(
                subject: str,
                latency_ms: int = latency_ms,
                figures: list[Figure] = figures,
                count: int = count,
            ) -> None:
                port = running[subject].ports_by_latency[latency_ms]
                late = [
                    (time_us - direct_us) / 1e3 - latency_ms for time_us in ping(plan, port, count)
                ]
                figures[0].add(subject, *late)
                figures[1].add(subject, *map(abs, late))  # too early is as wrong as too late

            each_round(plan.rounds, delaying, figures, measure)
    return everything


def error_figures(latency_ms: int) -> list[Figure]:
    """The error of one latency: in the middle with its sign, far out without.

    The samples of all rounds count as one set.
    """
    name = f"injected latency of {latency_ms} ms: error of a round trip"
    return [
        Figure(
            part="latency",
            name=f"{name}, p50",
            unit="ms",
            limit=within(P50_LIMIT_MS),
            statistic=percentile(50),
        ),
        Figure(
            part="latency",
            name=f"{name}, p99",
            unit="ms without sign",
            limit=at_most(P99_LIMIT_MS),
            statistic=percentile(99),
        ),
    ]


def start_delayed(
    plan: Plan, group: Processes, upstream: int, figures: list[Figure]
) -> dict[str, Running]:
    """Every subject; those that can delay have a port for each latency too."""
    latencies = list(plan.samples_by_latency_ms)
    starts = {
        DIRECT: lambda: Running(port=upstream),
        CHAOS: lambda: start_chaos_delayed(plan.tools, group, upstream, latencies),
        HAPROXY: lambda: start_haproxy(plan.tools, group, upstream),
        TOXIPROXY: lambda: start_toxiproxy_delayed(plan.tools, group, upstream, latencies),
    }
    running = {}
    for name in subjects(plan.tools):
        try:
            running[name] = starts[name]()
        except MeasureError as error:
            note_failure(figures, name, str(error))
    return running


def measure_added(plan: Plan, running: dict[str, Running], added: Figure) -> float:
    """Notes what each proxy adds to the direct round trip of its round; returns that median."""
    medians: dict[str, list[float]] = {name: [] for name in running}

    def measure(subject: str) -> None:
        count = max(plan.samples_plain // plan.rounds, 1)
        medians[subject].append(median(ping(plan, running[subject].port, count)))
        if subject != DIRECT:
            added.add(subject, medians[subject][-1] - medians[DIRECT][-1])

    each_round(plan.rounds, list(running), [added], measure)
    return median(medians[DIRECT])


def ping(plan: Plan, port: int, count: int) -> list[float]:
    """Round-trip times in microseconds."""
    return [
        float(time)
        for time in run_json([plan.tools.load, "ping", str(port), str(count)], PING_SECONDS_MAX)
    ]
