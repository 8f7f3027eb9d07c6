"""What httpx asks for through a route that does nothing."""

import asyncio
import time

import httpx
from checks import COUNT, GAP_MS, NGINX, NODE, all_good, at_least, large, pieces, same, sha256


def in_turn(client: httpx.Client) -> None:
    for way in ["sized", "chunked", "closed"]:
        for size in [0, 1, 65_537, 1_000_001]:
            got = client.get(f"{NODE}/{way}/{size}")
            same(f"{way}/{size}", (got.status_code, len(got.content)), (200, size))
            same(f"{way}/{size}: bytes", sha256(got.content), got.headers["X-Sha256"])
            same("version", got.http_version, "HTTP/1.1")
    with client.stream("GET", f"{NGINX}/large") as got:
        streamed = b"".join(got.iter_raw(9_973))
    same("streamed download", sha256(streamed), sha256(large()))
    body, whole = pieces()
    told = client.post(f"{NODE}/echo", content=body).json()
    same("upload in chunks", (told["count"], told["sha256"]), (len(whole), sha256(whole)))
    for status in [204, 304, 404, 418, 503]:
        got = client.get(f"{NODE}/status/{status}")
        same("status", (got.status_code, got.headers["X-Status"]), (status, str(status)))
    cookies = client.get(f"{NODE}/fields/").headers.get_list("set-cookie")
    same("two cookies stay two", cookies, ["a=1; Path=/", "b=2; Path=/; Secure"])
    # The client gives up in the middle; the route is as good as before.
    with client.stream("GET", f"{NODE}/sized/20000000") as got:
        same("left early", next(got.iter_raw(1000))[:1] != b"", True)
    same("after that", client.get(f"{NODE}/sized/10").status_code, 200)


async def at_once() -> None:
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=20) as client:

        async def one(n: int) -> None:
            got = await client.get(f"{NODE}/chunked/{n * 1000}")
            same(f"at once: {n}", sha256(got.content), got.headers["X-Sha256"])

        async def echoed(n: int) -> None:
            async def body():
                for _ in range(n):
                    yield b"%d" % n * 100
                    await asyncio.sleep(0)

            told = (await client.post(f"{NODE}/echo/{n}", content=body())).json()
            wanted = (f"/echo/{n}", sha256(b"%d" % n * 100 * n))
            same(f"echo: {n}", (told["url"], told["sha256"]), wanted)

        async def events() -> None:
            times = []
            async with client.stream("GET", f"{NODE}/events/{COUNT}/{GAP_MS}") as got:
                async for line in got.aiter_lines():
                    if line.startswith("data: "):
                        times.append(time.monotonic())
            same("events", len(times), COUNT)
            at_least("one by one", times[-1] - times[0], (COUNT - 1) * GAP_MS / 1e3 * 0.8)

        everything = [one(n) for n in range(60)] + [echoed(n) for n in range(30)]
        await asyncio.gather(*everything, *(events() for _ in range(10)))


with httpx.Client(trust_env=False, timeout=20) as plain:
    in_turn(plain)
asyncio.run(at_once())
all_good("httpx")
