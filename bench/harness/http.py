"""Parts 8 to 10: requests per second over HTTP, streams that are slowed down, what each costs."""

from __future__ import annotations

import re
import selectors
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from harness.figures import Figure, Limit, at_most, exactly
from harness.http_subjects import (
    LARGE,
    LARGE_BYTES,
    NGINX,
    SMALL,
    TCP_ROUTE,
    start_all,
    start_files,
    start_http_route,
    start_reverse_proxy,
    start_route,
    start_tcp_route,
)
from harness.idle import usage
from harness.plan import Plan, each_round, processes
from harness.processes import MeasureError, run
from harness.subjects import CHAOS

WRK_SECONDS_MAX = 30.0
# Connections of a wrk run: 10 is what wrk takes by itself.
SHAPES = [1, 10, 64]
# The least acceptable chaos-proxy/subject, for each of them.
TARGETS = {TCP_ROUTE: 0.6, NGINX: 0.9}
RATE_BYTES = 1_000_000
SHARED_REQUESTS = 8
FIRST_BYTE_LIMIT_MS = 50.0
ERROR_PERCENT = 2.0
STREAMS = 200
STREAM_KIB_LIMIT = 128.0
READ_BYTES, READ_GAP_SECONDS = 4096, 0.05
STREAM_SECONDS = 3.0


def http_requests(plan: Plan) -> list[Figure]:
    """wrk, keep-alive, 1 KiB from nginx."""
    figures = [
        Figure(
            part="http",
            name=f"HTTP requests, 1 KiB, connections: {connections}",
            unit="1/s",
            ratio_targets=TARGETS,
        )
        for connections in SHAPES
    ]
    with processes() as group:
        running = start_all(plan, group, start_files(plan.tools, group), figures)
        for connections, figure in zip(SHAPES, figures, strict=True):

            def measure(
                subject: str, connections: int = connections, figure: Figure = figure
            ) -> None:
                figure.add(subject, ask_wrk(plan, running[subject].port, connections))

            each_round(plan.rounds, list(running), [figure], measure)
    return figures


def ask_wrk(plan: Plan, port: int, connections: int) -> float:
    """Requests per second, as wrk says; one that failed spoils the figure."""
    command = [plan.tools.wrk, "-t", "1", "-c", str(connections)]
    command += ["-d", f"{int(plan.seconds)}s", f"http://127.0.0.1:{port}{SMALL}"]
    said = run(command, WRK_SECONDS_MAX)
    if wrong := re.search(r"(Socket errors|Non-2xx).*", said):
        raise MeasureError(f"wrk: {wrong[0]}")
    if (rate := re.search(r"Requests/sec: +([\d.]+)", said)) is None:
        raise MeasureError("wrk printed no figure")
    return float(rate[1])


def http_shaping(plan: Plan) -> list[Figure]:
    """Bodies through 1 MB/s: one alone, and several that share it."""
    seconds = LARGE_BYTES / RATE_BYTES
    alone, first = (
        Figure(
            part="http-shaping",
            name="10 MB over HTTP through 1 MB/s: until the last byte",
            unit="s",
            limit=about(seconds),
        ),
        Figure(
            part="http-shaping",
            name="10 MB over HTTP through 1 MB/s: until the first byte",
            unit="ms",
            limit=at_most(FIRST_BYTE_LIMIT_MS),
        ),
    )
    shared = Figure(
        part="http-shaping",
        name=f"{SHARED_REQUESTS} times 1.25 MB at once through 1 MB/s of a route: until the last",
        unit="s",
        limit=about(seconds),
    )
    with processes() as group:
        upstream = start_files(plan.tools, group)

        def limited(scope: str) -> int:
            fault = {"type": "bandwidth", "rate": RATE_BYTES // 1000, "scope": scope}
            more: dict[str, object] = {"protocol": "http", "faults": [fault]}
            return start_route(plan.tools, group, upstream, more).port

        def measure_alone(subject: str) -> None:
            first_ms, took = download(limited("connection"), LARGE_BYTES)
            first.add(subject, first_ms)
            alone.add(subject, took)

        def measure_shared(subject: str) -> None:
            port, each = limited("route"), LARGE_BYTES // SHARED_REQUESTS
            with ThreadPoolExecutor(SHARED_REQUESTS) as pool:
                begun = time.monotonic()
                asked = [pool.submit(download, port, each) for _ in range(SHARED_REQUESTS)]
                for one in asked:
                    one.result()
                shared.add(subject, time.monotonic() - begun)

        each_round(1, [CHAOS], [alone, first], measure_alone)
        each_round(1, [CHAOS], [shared], measure_shared)
    return [alone, first, shared]


def about(value: float) -> Limit:
    """A value that is met within ERROR_PERCENT."""
    far = value * ERROR_PERCENT / 100
    return Limit(text=f"{value:.0f} +- {far:.1f}", low=value - far, high=value + far)


def download(port: int, count: int) -> tuple[float, float]:
    """The first `count` bytes of the large file: ms to the first of them, seconds to the last."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    begun = time.monotonic()
    try:
        connection.request("GET", LARGE, headers={"Range": f"bytes=0-{count - 1}"})
        answer = connection.getresponse()
        got = len(answer.read(1))
        first_ms = (time.monotonic() - begun) * 1e3
        got += len(answer.read())
    except (HTTPException, OSError) as error:
        raise MeasureError(f"a download failed: {error}") from error
    finally:
        connection.close()
    if got != count:
        raise MeasureError(f"{got} of {count} bytes came")
    return first_ms, time.monotonic() - begun


def http_streams(plan: Plan) -> list[Figure]:
    """Many bodies on their way to slow readers. A new proxy each time."""
    starts = {TCP_ROUTE: start_tcp_route, CHAOS: start_http_route, NGINX: start_reverse_proxy}
    memory = Figure(
        part="http-streams",
        name=f"{STREAMS} streaming exchanges with slow readers: resident memory for each",
        unit="KiB",
        limit=at_most(STREAM_KIB_LIMIT),
    )
    ended = Figure(
        part="http-streams",
        name=f"{STREAMS} streaming exchanges with slow readers: ended early",
        unit="exchanges",
        limit=exactly(0),
    )

    def measure(subject: str) -> None:
        with processes() as group:
            running = starts[subject](plan.tools, group, start_files(plan.tools, group))
            if running.pid is None:
                raise MeasureError("no process to watch")
            before = resident_kib(running.pid)
            readers = [ask_large(running.port) for _ in range(STREAMS)]
            try:
                ended.add(subject, read_slowly(readers))
                memory.add(subject, (resident_kib(running.pid) - before) / STREAMS)
            finally:
                for reader in readers:
                    reader.close()

    each_round(plan.idle_rounds, list(starts), [memory, ended], measure)
    return [memory, ended]


def resident_kib(pid: int) -> int:
    """Of a process and its children: nginx works in processes of its own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(usage(one).rss_kib for one in [pid, *map(int, children)])


def ask_large(port: int) -> socket.socket:
    """A connection on which the large file has been asked for."""
    try:
        reader = socket.create_connection(("127.0.0.1", port), timeout=5)
        reader.sendall(f"GET {LARGE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    except OSError as error:
        raise MeasureError(f"a stream was not begun: {error}") from error
    reader.setblocking(False)
    return reader


def read_slowly(readers: list[socket.socket]) -> int:
    """Takes 4 KiB of each every 50 ms; how many of them ended."""
    ended = set()
    end = time.monotonic() + STREAM_SECONDS
    with selectors.DefaultSelector() as ready:
        for reader in readers:
            ready.register(reader, selectors.EVENT_READ)
        while time.monotonic() < end:
            for key, _ in ready.select(timeout=READ_GAP_SECONDS):
                reader = key.fileobj
                assert isinstance(reader, socket.socket), "only sockets are registered"
                try:
                    if not reader.recv(READ_BYTES):
                        ended.add(key.fd)
                except OSError:
                    ended.add(key.fd)
            time.sleep(READ_GAP_SECONDS)
    return len(ended)
