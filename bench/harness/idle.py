"""Part 4: what thousands of idle connections cost, and how fast many can be made at once."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from harness.figures import Figure, at_most, exactly
from harness.plan import Plan, each_round, processes
from harness.processes import MeasureError, Processes, free_port, run_json, wait_until
from harness.subjects import DIRECT, STARTS, subjects

CONNECTIONS = 8_000
BURST = 2_000
BURST_LIMIT_MS = 200.0
OPEN_SECONDS_MAX = 60.0
# After opening: the time that a proxy has for giving buffers back before processor time is counted.
SETTLE_SECONDS = 2.0
BACK_SECONDS = 5.0
KIB_LIMIT = 22.0
BACK_MIB_LIMIT = 2.0
TICKS_LIMIT = 2.0
BURST_SECONDS_MAX = 30.0


@dataclass(frozen=True)
class Usage:
    """What the system says about a process."""

    rss_kib: int
    descriptors: int
    ticks: int


def usage(pid: int) -> Usage:
    """Reads memory, descriptors and processor time of a process."""
    proc = Path("/proc") / str(pid)
    status = dict(
        row.split(":", 1) for row in (proc / "status").read_text().splitlines() if ":" in row
    )
    if "VmRSS" not in status:
        raise MeasureError("the process has ended")  # not reaped yet, hence still listed
    after_name = (proc / "stat").read_text().rpartition(")")[2].split()
    return Usage(
        rss_kib=int(status["VmRSS"].split()[0]),
        descriptors=len(os.listdir(proc / "fd")),
        ticks=int(after_name[11]) + int(after_name[12]),
    )


@dataclass
class IdleFigures:
    """The figures of one kind of idle connection."""

    failed: Figure
    kib: Figure
    descriptors: Figure
    ticks: Figure
    back: Figure

    def all(self) -> list[Figure]:
        """In the order of the report."""
        return [self.failed, self.kib, self.descriptors, self.ticks, self.back]


def idle_figures(what: str, plan: Plan, kib_limit: float | None) -> IdleFigures:
    """Empty figures with their limits."""

    def figure(name: str, unit: str) -> Figure:
        return Figure(part="idle", name=f"{CONNECTIONS:,} {what}: {name}", unit=unit)

    figures = IdleFigures(
        failed=figure("failed or broken", "connections"),
        kib=figure("resident memory for each", "KiB"),
        descriptors=figure("descriptors for each", "descriptors"),
        ticks=figure(
            f"processor time in {plan.idle_seconds:.0f} s",
            f"ticks of {1000 / os.sysconf('SC_CLK_TCK'):.0f} ms",
        ),
        back=figure(
            f"resident memory over the start, at most {BACK_SECONDS:.0f} s after closing", "MiB"
        ),
    )
    figures.failed.limit = exactly(0)
    figures.kib.limit = None if kib_limit is None else at_most(kib_limit)
    figures.descriptors.limit = exactly(2)
    figures.ticks.limit = at_most(TICKS_LIMIT)
    figures.back.limit = at_most(BACK_MIB_LIMIT)
    return figures


def idle(plan: Plan) -> list[Figure]:
    """Idle connections that never carried a byte, then ones that did. A new proxy each time."""
    proxies = [name for name in subjects(plan.tools) if name != DIRECT]
    kinds = [
        ("quiet", idle_figures("idle connections", plan, KIB_LIMIT)),
        ("message", idle_figures("idle connections after one message", plan, None)),
    ]
    for first, figures in kinds:

        def measure(subject: str, first: str = first, figures: IdleFigures = figures) -> None:
            hold_once(plan, subject, first, figures)

        each_round(plan.idle_rounds, proxies, figures.all(), measure)
    return [figure for _, figures in kinds for figure in figures.all()]


def hold_once(plan: Plan, subject: str, first: str, figures: IdleFigures) -> None:
    """Opens, watches and closes connections; client and upstream ends are separate processes."""
    with processes() as group:
        upstream_port = free_port()
        upstream = group.start([plan.tools.load, "serve", str(upstream_port)], [upstream_port])
        running = STARTS[subject](plan.tools, group, upstream_port)
        if running.pid is None:
            raise MeasureError("no process to watch")
        time.sleep(0.2)  # threads that start with the proxy belong to the figure before
        before = usage(running.pid)
        upstream_before = usage(upstream.pid).descriptors

        def missing() -> int:
            return CONNECTIONS - (usage(upstream.pid).descriptors - upstream_before)

        client = group.start_piped(
            [plan.tools.load, "hold", str(running.port), str(CONNECTIONS), first]
        )
        failed = int(read_json(client)["failed"])
        wait_until(lambda: missing() <= failed, OPEN_SECONDS_MAX)
        time.sleep(SETTLE_SECONDS)
        settled = usage(running.pid)
        time.sleep(plan.idle_seconds)
        after = usage(running.pid)
        failed = max(failed, missing())
        broken = close(client)
        back = back_to(running.pid, before.rss_kib)
        figures.failed.add(subject, failed + broken)
        figures.kib.add(subject, (after.rss_kib - before.rss_kib) / CONNECTIONS)
        descriptors = (after.descriptors - before.descriptors) / CONNECTIONS
        # A handful that belongs to the whole process is not "for each".
        figures.descriptors.add(subject, round(descriptors, 2))
        figures.ticks.add(subject, after.ticks - settled.ticks)
        figures.back.add(subject, back / 1024)


def read_json(client: subprocess.Popen[bytes]) -> dict[str, int]:
    """The next line that the holding client prints."""
    assert client.stdout is not None, "started with pipes"
    if not select.select([client.stdout], [], [], OPEN_SECONDS_MAX)[0]:
        raise MeasureError(f"{CONNECTIONS} connections were not opened in {OPEN_SECONDS_MAX:.0f} s")
    line = client.stdout.readline()
    if not line:
        raise MeasureError("the holding client ended early")
    return dict(json.loads(line))


def close(client: subprocess.Popen[bytes]) -> int:
    """Closes all connections; how many of them had ended on their own."""
    assert client.stdin is not None, "started with pipes"
    client.stdin.close()
    broken = int(read_json(client)["broken"])
    client.wait(OPEN_SECONDS_MAX)
    return broken


def back_to(pid: int, start_kib: int) -> int:
    """How far over its start the memory still is when it came near it, or when the time was up."""
    wait_until(lambda: usage(pid).rss_kib - start_kib <= BACK_MIB_LIMIT * 1024, BACK_SECONDS)
    return usage(pid).rss_kib - start_kib


def burst(plan: Plan) -> list[Figure]:
    """Many simultaneous connects, each with one exchange. A new proxy each time."""
    figures = [
        Figure(
            part="burst",
            name=f"{BURST:,} connects at once: until the last is connected",
            unit="ms",
            limit=at_most(BURST_LIMIT_MS),
        ),
        Figure(
            part="burst",
            name=f"{BURST:,} connects at once: until the last has its answer",
            unit="ms",
        ),
        Figure(
            part="burst",
            name=f"{BURST:,} connects at once: failed",
            unit="connections",
            limit=exactly(0),
        ),
    ]

    def measure(subject: str) -> None:
        with processes() as group:
            port = burst_port(plan, group, subject)
            result = run_json([plan.tools.load, "burst", str(port), str(BURST)], BURST_SECONDS_MAX)
            figures[0].add(subject, result["connected_ms"])
            figures[1].add(subject, result["last_ms"])
            figures[2].add(subject, result["failed"])

    each_round(plan.rounds, subjects(plan.tools), figures, measure)
    return figures


def burst_port(plan: Plan, group: Processes, subject: str) -> int:
    """A fresh upstream and a fresh subject in front of it."""
    upstream = free_port()
    group.start([plan.tools.load, "serve", str(upstream)], [upstream])
    return STARTS[subject](plan.tools, group, upstream).port
