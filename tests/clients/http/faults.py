"""What a client written in Python must see of each fault; `Client` is what differs between them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Protocol

from checks import at_least, same, sha256


@dataclass
class Answer:
    """A whole answer, and the seconds until it was there."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


class Client(Protocol):
    """One of the clients."""

    name: str
    # What it raises, by what has gone wrong.
    reset: tuple[type[Exception], ...]
    cut: tuple[type[Exception], ...]
    malformed: tuple[type[Exception], ...]

    def ask(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        """A whole answer, or what it raises."""
        ...


def url(route: str, path: str) -> str:
    return os.environ[route.upper()] + path


def ask(client: Client, route: str, path: str, **more) -> Answer:
    method, body = more.pop("method", "GET"), more.pop("body", None)
    begun = time.monotonic()
    answer = client.ask(method, url(route, path), body, more.pop("headers", {}))
    answer.seconds = time.monotonic() - begun
    return answer


def statuses(client: Client) -> None:
    got = ask(client, "error", "/sized/10")
    told = (got.status, got.headers["x-chaos-faults"], got.body)
    wanted = (503, "http_error;status=503", b'{"error":"injected","status":503}')
    same("http_error", told, wanted)
    for size in [1, 100_000, 3_000_000]:
        got = ask(client, "error", "/echo", method="POST", body=b"x" * size)
        same(f"http_error after an upload of {size}", got.status, 503)
    got = ask(client, "teapot", "/sized/10")
    same("teapot", (got.status, got.body, got.headers["x-pot"]), (418, b"short and stout", "tea"))
    same("replaced", ask(client, "replaced", "/sized/10").status, 500)
    same("gateway", ask(client, "gateway", "/sized/10").status, 503)
    got = ask(client, "matched", "/echo", method="PUT", body=b"x", headers={"X-Test": "1"})
    same("match", got.status, 503)
    got = ask(client, "matched", "/echo", method="POST", body=b"x", headers={"X-Test": "1"})
    same("no match", (got.status, "x-chaos-faults" in got.headers), (200, False))
    same("no upstream, a fault", ask(client, "unreached", "/faulty").status, 503)
    same("no upstream", ask(client, "unreached", "/").status, 502)
    got = ask(client, "held", "/sized/10")
    same("http_timeout", got.status, 504)
    at_least("http_timeout", got.seconds, 0.12)


def later(client: Client) -> None:
    for route, least in [("delayed", 0.15), ("late", 0.15)]:
        got = ask(client, route, "/chunked/100000")
        same(route, (got.status, sha256(got.body)), (200, got.headers["x-sha256"]))
        at_least(route, got.seconds, least)
    got = ask(client, "slow", "/large", headers={"Range": "bytes=0-299999"})
    same("slow", (got.status, len(got.body)), (206, 300_000))
    at_least("slow", got.seconds, 0.28)
    for size in [76, 77, 76, 77]:  # over one connection, as far as the client keeps it
        got = ask(client, "picky", f"/sized/{size}")
        told = got.headers.get("x-chaos-faults", "")
        same("picky", (len(got.body), told), (size, "latency;latency=150ms" if size == 77 else ""))
        at_least("picky", got.seconds, 0.15 if size == 77 else 0)


def broken(client: Client) -> None:
    raises("reset", client.reset, client, "/sized/10")
    raises("closed", client.reset, client, "/sized/10")
    raises("lost", client.reset, client, "/echo")
    for route in ["half", "cut"]:
        for way in ["sized", "chunked"]:
            raises(route, client.cut, client, f"/{way}/100000")
    raises("chunk", client.malformed, client, "/sized/10000")
    raises("garbage", client.malformed, client, "/sized/10000")
    raises("empty", client.reset, client, "/sized/10000")


def raises(route: str, wanted: tuple[type[Exception], ...], client: Client, path: str) -> None:
    try:
        got = ask(client, route, path)
    except wanted:
        same(route, True, True)
    except Exception as error:  # what else it is, is told
        same(f"{route} {path}", repr(error), wanted)
    else:
        same(f"{route} {path}", (got.status, len(got.body)), wanted)


def changed(client: Client) -> None:
    got = ask(client, "flipped", "/sized/100000")
    intact = sha256(got.body) == got.headers["x-sha256"]
    same("bit_flip", (got.status, len(got.body), intact), (200, 100_000, False))
    same("truncate", len(ask(client, "truncated", "/sized/100000").body), 50_000)
    got = ask(client, "headers", "/echo", headers={"Cookie": "a=1"})
    same("request head", (b'"x-tenant":"chaos"' in got.body, b"cookie" in got.body), (True, False))
    got = ask(client, "headers", "/sized/10")
    same("answer's head", (got.headers.get("x-extra"), "x-sha256" in got.headers), ("1", False))
    same("duplicate", ask(client, "doubled", "/sized/10").status, 200)
    asked = [ask(client, "limited", f"/sized/10/{client.name}") for _ in range(4)]
    same("rate_limit", [got.status for got in asked], [200, 200, 200, 429])
    at_least("Retry-After", int(asked[-1].headers["retry-after"]), 1)


def every_fault(client: Client) -> None:
    statuses(client)
    later(client)
    broken(client)
    changed(client)
