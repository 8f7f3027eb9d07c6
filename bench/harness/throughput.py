"""Parts 1 to 3: requests per second, new connections per second, one stream."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass

from harness.figures import Figure
from harness.plan import Plan, each_round, note_failure, processes
from harness.processes import MeasureError, Processes, free_port, run, run_json
from harness.subjects import HAPROXY, STARTS, TOXIPROXY, Running, subjects
from harness.tools import Tools

RUN_SECONDS_MAX = 60.0
CHURN_CONNECTIONS = 50
STREAM_WARM_UP_SECONDS = 1
STREAM_TRIES = 3


@dataclass(frozen=True)
class Shape:
    """One way of asking redis."""

    name: str
    connections: int
    pipeline: int
    warm_up: int
    haproxy_target: float
    toxiproxy_target: float


SHAPES = [
    Shape("50 connections", 50, 1, 5_000, 0.95, 1.1),
    Shape("1 connection", 1, 1, 1_000, 1.0, 1.4),
    Shape("50 connections, 16 pipelined", 50, 16, 50_000, 0.95, 1.05),
]


def start_all(
    plan: Plan, group: Processes, upstream: int, figures: list[Figure]
) -> dict[str, Running]:
    """Every subject in front of one upstream, up for all rounds: an idle proxy costs nothing."""
    running = {}
    for name in subjects(plan.tools):
        try:
            running[name] = STARTS[name](plan.tools, group, upstream)
        except MeasureError as error:
            note_failure(figures, name, str(error))
    return running


def requests(plan: Plan) -> list[Figure]:
    """Requests per second on connections that stay open."""
    figures = [
        Figure(
            part="requests",
            name=f"requests, {shape.name}",
            unit="1/s",
            ratio_targets={HAPROXY: shape.haproxy_target, TOXIPROXY: shape.toxiproxy_target},
        )
        for shape in SHAPES
    ]
    with processes() as group:
        upstream = start_redis(plan.tools, group)
        running = start_all(plan, group, upstream, figures)
        for shape, figure in zip(SHAPES, figures, strict=True):

            def measure(subject: str, shape: Shape = shape, figure: Figure = figure) -> None:
                figure.add(subject, requests_per_second(plan, shape, running[subject].port))

            each_round(plan.rounds, list(running), [figure], measure)
    return figures


def start_redis(tools: Tools, group: Processes) -> int:
    """A redis that keeps nothing on disk, with the one value that is asked for."""
    port = free_port()
    command = [
        tools.redis_server,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(group.folder),
    ]
    group.start(command, [port])
    run(
        [tools.redis_benchmark, "-p", str(port), "-t", "set", "-n", "1", "-c", "1", "-q"],
        RUN_SECONDS_MAX,
    )
    return port


def requests_per_second(plan: Plan, shape: Shape, port: int) -> float:
    """A short run shows how many requests fill the time; the one after it counts."""
    rate = ask_redis(plan.tools, shape, port, shape.warm_up)
    return ask_redis(plan.tools, shape, port, max(int(rate * plan.seconds), shape.warm_up))


def ask_redis(tools: Tools, shape: Shape, port: int, requests: int) -> float:
    """Requests per second, as redis-benchmark says."""
    command = [tools.redis_benchmark, "-p", str(port), "-t", "get", "-n", str(requests)]
    command += ["-c", str(shape.connections), "-P", str(shape.pipeline), "-k", "1", "--csv"]
    for row in csv.reader(io.StringIO(run(command, RUN_SECONDS_MAX))):
        if row and row[0] == "GET":
            return float(row[1])
    raise MeasureError("redis-benchmark printed no figure")


def connections(plan: Plan) -> list[Figure]:
    """New connections per second: connect, one small exchange, orderly close by the client."""
    figure = Figure(
        part="connections",
        name=f"new connections, {CHURN_CONNECTIONS} at a time",
        unit="1/s",
        ratio_targets={HAPROXY: 0.8, TOXIPROXY: 1.6},
    )
    with processes() as group:
        upstream = free_port()
        group.start([plan.tools.load, "serve", str(upstream)], [upstream])
        running = start_all(plan, group, upstream, [figure])

        def measure(subject: str) -> None:
            port = running[subject].port
            command = [
                plan.tools.load,
                "churn",
                str(port),
                str(CHURN_CONNECTIONS),
                str(plan.seconds),
            ]
            result = run_json(command, RUN_SECONDS_MAX)
            if result["failed"] > 0:
                raise MeasureError(
                    f"{result['failed']} connections failed, {result['done']} did not"
                )
            figure.add(subject, result["done"] / result["seconds"])

        each_round(plan.rounds, list(running), [figure], measure)
    return [figure]


def stream(plan: Plan) -> list[Figure]:
    """One iperf3 stream, from the client to the upstream."""
    figure = Figure(
        part="stream",
        name="one stream",
        unit="Gbit/s",
        ratio_targets={HAPROXY: 1.4, TOXIPROXY: 2.0},
    )
    with processes() as group:
        upstream = free_port()
        group.start([plan.tools.iperf3, "-s", "-B", "127.0.0.1", "-p", str(upstream)], [upstream])
        running = start_all(plan, group, upstream, [figure])

        def measure(subject: str) -> None:
            figure.add(subject, stream_gbits(plan, running[subject].port))

        each_round(plan.rounds, list(running), [figure], measure)
    return [figure]


def stream_gbits(plan: Plan, port: int) -> float:
    """What iperf3's receiver counted. Its server may still be busy with the test before."""
    command = [
        plan.tools.iperf3,
        "-c",
        "127.0.0.1",
        "-p",
        str(port),
        "-t",
        str(int(plan.seconds)),
        "-O",
        str(STREAM_WARM_UP_SECONDS),
        "-J",
    ]
    reason = MeasureError("iperf3 was not tried")
    for _ in range(STREAM_TRIES):
        try:
            result = run_json(command, RUN_SECONDS_MAX)
            if "sum_received" not in result["end"]:  # it exits 0 all the same
                raise MeasureError(f"iperf3: {result.get('error', 'no result')}")
            return float(result["end"]["sum_received"]["bits_per_second"]) / 1e9
        except MeasureError as error:
            reason = error
            time.sleep(0.5)  # the server gives no sign of being free again
    raise reason
