"""The subjects in front of an HTTP upstream, and nginx as that upstream and as one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.figures import Figure
from harness.plan import Plan, note_failure
from harness.processes import MeasureError, Processes, free_port
from harness.subjects import CHAOS, DIRECT, HAPROXY, Running, write_json
from harness.tools import Tools

TCP_ROUTE = "tcp route"
NGINX = "nginx"
SMALL, SMALL_BYTES = "/small", 1 << 10
LARGE, LARGE_BYTES = "/large", 10_000_000

NGINX_CONFIG = """\
worker_processes auto;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{inside}
}}
"""
FILES = """\
    sendfile on;
    tcp_nopush on;
    open_file_cache max=10;
    server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; }}
"""
REVERSE_PROXY = """\
    upstream files {{
        server 127.0.0.1:{upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://files;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""
HAPROXY_CONFIG = """\
global
    maxconn 20000
    no strict-limits
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen bench
    bind 127.0.0.1:{port} backlog 4096
    http-reuse safe
    server upstream 127.0.0.1:{upstream}
"""

Start = Callable[[Tools, Processes, int], Running]


def start_nginx(tools: Tools, group: Processes, inside: str) -> Running:
    """nginx with its own choice of workers. Its files are in a folder that others may enter."""
    port = free_port()
    folder = group.folder / f"nginx-{port}"
    folder.mkdir()
    group.folder.chmod(0o755)  # its workers are not root
    text = NGINX_CONFIG.format(folder=folder, inside=inside.format(folder=folder, port=port))
    config = folder / "nginx.conf"
    config.write_text(text)
    child = group.start([tools.nginx, "-c", str(config)], [port])
    return Running(port=port, pid=child.pid)


def start_files(tools: Tools, group: Processes) -> int:
    """The upstream: nginx with a small and a large file."""
    running = start_nginx(tools, group, FILES)
    folder = Path(group.folder / f"nginx-{running.port}")
    (folder / SMALL[1:]).write_bytes(b"x" * SMALL_BYTES)
    (folder / LARGE[1:]).write_bytes(bytes(range(250)) * (LARGE_BYTES // 250))
    return running.port


def start_direct(_tools: Tools, _group: Processes, upstream: int) -> Running:
    """The upstream itself."""
    return Running(port=upstream)


def start_route(
    tools: Tools, group: Processes, upstream: int, more: dict[str, object]
) -> Running:
    """chaos-proxy with one route, in a process of its own."""
    port = free_port()
    route = {"name": "bench", "localPort": port, "upstream": f"127.0.0.1:{upstream}", **more}
    config = write_json(group.folder / f"route-{port}.json", {"routes": [route]})
    child = group.start([str(tools.binary), "-c", str(config), "--log-level", "warn"], [port])
    return Running(port=port, pid=child.pid)


def start_tcp_route(tools: Tools, group: Processes, upstream: int) -> Running:
    """A route that knows nothing of HTTP."""
    return start_route(tools, group, upstream, {"protocol": "tcp"})


def start_http_route(tools: Tools, group: Processes, upstream: int) -> Running:
    """A route of protocol http without faults."""
    return start_route(tools, group, upstream, {"protocol": "http"})


def start_reverse_proxy(tools: Tools, group: Processes, upstream: int) -> Running:
    """nginx as a reverse proxy that keeps its upstream connections."""
    return start_nginx(tools, group, REVERSE_PROXY.replace("{upstream}", str(upstream)))


def start_haproxy(tools: Tools, group: Processes, upstream: int) -> Running:
    """HAProxy that reads HTTP: its own choice of threads, no log."""
    port = free_port()
    config = group.folder / "haproxy-http.cfg"
    config.write_text(HAPROXY_CONFIG.format(port=port, upstream=upstream))
    child = group.start([tools.haproxy, "-db", "-q", "-f", str(config)], [port])
    return Running(port=port, pid=child.pid)


HTTP_STARTS: dict[str, Start] = {
    DIRECT: start_direct,
    TCP_ROUTE: start_tcp_route,
    CHAOS: start_http_route,
    NGINX: start_reverse_proxy,
    HAPROXY: start_haproxy,
}


def start_all(
    plan: Plan, group: Processes, upstream: int, figures: list[Figure]
) -> dict[str, Running]:
    """Every subject in front of one upstream, up for all rounds: an idle proxy costs nothing."""
    running = {}
    for name, start in HTTP_STARTS.items():
        try:
            running[name] = start(plan.tools, group, upstream)
        except MeasureError as error:
            note_failure(figures, name, str(error))
    return running
