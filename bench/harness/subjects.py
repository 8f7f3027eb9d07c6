"""The subjects of the comparison: no proxy at all, chaos-proxy, HAProxy and Toxiproxy."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.processes import MeasureError, Processes, free_port
from harness.tools import Tools

DIRECT = "direct"
CHAOS = "chaos-proxy"
HAPROXY = "haproxy"
TOXIPROXY = "toxiproxy"
API_SECONDS = 5.0

HAPROXY_CONFIG = """\
global
    maxconn 20000
    no strict-limits
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen bench
    bind 127.0.0.1:{port} backlog 4096
    server upstream 127.0.0.1:{upstream}
"""


@dataclass(frozen=True)
class Running:
    """A subject that listens on `port`. Of `direct` the process is not known."""

    port: int
    pid: int | None = None
    ports_by_latency: dict[int, int] = field(default_factory=dict)


Start = Callable[[Tools, Processes, int], Running]


def start_direct(_tools: Tools, _processes: Processes, upstream: int) -> Running:
    """The upstream itself."""
    return Running(port=upstream)


def start_chaos(tools: Tools, processes: Processes, upstream: int) -> Running:
    """chaos-proxy with one plain route."""
    return start_chaos_delayed(tools, processes, upstream, [])


def start_chaos_delayed(
    tools: Tools, processes: Processes, upstream: int, latencies_ms: list[int]
) -> Running:
    """chaos-proxy with a plain route and one more for each latency."""
    plain = free_port()
    delayed = {latency: free_port() for latency in latencies_ms}
    routes: list[dict[str, object]] = [route("redis", plain, upstream)]
    for latency, port in delayed.items():
        routes.append({**route(f"latency-{latency}", port, upstream), "latencyMs": latency})
    config = write_json(processes.folder / "chaos-proxy.json", {"routes": routes})
    command = [str(tools.binary), "-c", str(config), "--log-level", "warn"]
    child = processes.start(command, [plain, *delayed.values()])
    return Running(port=plain, pid=child.pid, ports_by_latency=delayed)


def route(name: str, port: int, upstream: int) -> dict[str, object]:
    """One route of chaos-proxy's configuration."""
    return {"name": name, "localPort": port, "upstream": f"127.0.0.1:{upstream}"}


def start_haproxy(tools: Tools, processes: Processes, upstream: int) -> Running:
    """HAProxy as a TCP proxy: its own choice of threads, no log."""
    port = free_port()
    config = processes.folder / "haproxy.cfg"
    config.write_text(HAPROXY_CONFIG.format(port=port, upstream=upstream))
    child = processes.start([tools.haproxy, "-db", "-q", "-f", str(config)], [port])
    return Running(port=port, pid=child.pid)


def start_toxiproxy(tools: Tools, processes: Processes, upstream: int) -> Running:
    """Toxiproxy with one proxy and no toxic."""
    return start_toxiproxy_delayed(tools, processes, upstream, [])


def start_toxiproxy_delayed(
    tools: Tools, processes: Processes, upstream: int, latencies_ms: list[int]
) -> Running:
    """Toxiproxy with a plain proxy, and one with a latency toxic for each latency."""
    if tools.toxiproxy is None:
        raise MeasureError("Toxiproxy is not installed")
    api, plain = free_port(), free_port()
    delayed = {latency: free_port() for latency in latencies_ms}
    named = {"plain": plain, **{f"latency-{latency}": port for latency, port in delayed.items()}}
    proxies = [
        {
            "name": name,
            "listen": f"127.0.0.1:{port}",
            "upstream": f"127.0.0.1:{upstream}",
            "enabled": True,
        }
        for name, port in named.items()
    ]
    config = write_json(processes.folder / "toxiproxy.json", proxies)
    command = [tools.toxiproxy, "-host", "127.0.0.1", "-port", str(api), "-config", str(config)]
    child = processes.start(command, [api, *named.values()], env={"LOG_LEVEL": "error"})
    for latency in latencies_ms:
        toxic = {"type": "latency", "stream": "downstream", "attributes": {"latency": latency}}
        post_json(f"http://127.0.0.1:{api}/proxies/latency-{latency}/toxics", toxic)
    return Running(port=plain, pid=child.pid, ports_by_latency=delayed)


STARTS: dict[str, Start] = {
    DIRECT: start_direct,
    CHAOS: start_chaos,
    HAPROXY: start_haproxy,
    TOXIPROXY: start_toxiproxy,
}


def subjects(tools: Tools) -> list[str]:
    """The subjects of this run, in the order in which each round measures them."""
    return [name for name in STARTS if name != TOXIPROXY or tools.toxiproxy is not None]


def write_json(path: Path, value: object) -> Path:
    """Writes a configuration and returns where it is."""
    path.write_text(json.dumps(value))
    return path


def post_json(url: str, value: object) -> None:
    """Posts to Toxiproxy's API."""
    request = urllib.request.Request(
        url, json.dumps(value).encode(), {"Content-Type": "application/json"}
    )
    try:
        urllib.request.urlopen(request, timeout=API_SECONDS).close()
    except urllib.error.URLError as error:
        raise MeasureError(f"Toxiproxy's API refused a toxic: {error}") from error
