"""Part 6: how fast chaos-proxy starts, and how large it is."""

from __future__ import annotations

from harness.figures import Figure, at_most
from harness.plan import Plan, each_round, processes
from harness.processes import free_port, run_json
from harness.subjects import CHAOS, route, write_json

ROUTES = 100
READY_LIMIT_MS = 10.0
SIZE_LIMIT_MIB = 1.5
START_SECONDS_MAX = 15.0
MARK = '"event":"ready"'


def start(plan: Plan) -> list[Figure]:
    """From the start of the process to its `ready` line, and the size of the file."""
    ready = Figure(
        part="start",
        name=f"start to ready, {ROUTES} routes",
        unit="ms",
        limit=at_most(READY_LIMIT_MS),
    )
    size = Figure(part="start", name="binary", unit="MiB", limit=at_most(SIZE_LIMIT_MIB))
    size.add(CHAOS, plan.tools.binary.stat().st_size / 2**20)

    def measure(subject: str) -> None:
        with processes() as group:
            upstream = free_port()
            routes = [
                route(f"route-{index}", port, upstream)
                for index, port in enumerate(distinct_ports(ROUTES))
            ]
            config = write_json(group.folder / "chaos-proxy.json", {"routes": routes})
            command = [
                str(plan.tools.binary),
                "-c",
                str(config),
                "--log-level",
                "info",
                "--log-format",
                "json",
            ]
            ready.add(
                subject,
                run_json([plan.tools.load, "ready", MARK, *command], START_SECONDS_MAX)["ready_ms"],
            )

    each_round(plan.starts, [CHAOS], [ready], measure)
    return [ready, size]


def distinct_ports(count: int) -> list[int]:
    """Free ports, no two of them equal: the system may hand out one twice once it is free again."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return sorted(ports)
