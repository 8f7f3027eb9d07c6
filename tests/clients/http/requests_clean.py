"""What requests asks for through a route that does nothing."""

import concurrent.futures
import time

import requests
from checks import COUNT, GAP_MS, NGINX, NODE, all_good, at_least, large, pieces, same, sha256

session = requests.Session()
session.trust_env = False


def downloads() -> None:
    for way in ["sized", "chunked", "closed"]:
        for size in [0, 1, 65_536, 1_000_000]:
            got = session.get(f"{NODE}/{way}/{size}", timeout=10)
            same(f"{way}/{size}", (got.status_code, len(got.content)), (200, size))
            same(f"{way}/{size}: bytes", sha256(got.content), got.headers["X-Sha256"])
    with session.get(f"{NGINX}/large", stream=True, timeout=10) as got:
        streamed = b"".join(got.iter_content(10_007))
    same("streamed download", sha256(streamed), sha256(large()))
    part = session.get(f"{NGINX}/large", headers={"Range": "bytes=-500"}, timeout=10)
    same("the last bytes", (part.status_code, part.content), (206, large()[-500:]))
    head = session.head(f"{NODE}/sized/77", timeout=10)
    same("HEAD", (head.status_code, head.headers["Content-Length"], head.content), (200, "77", b""))
    cookies = session.get(f"{NODE}/fields/", timeout=10)
    same("cookies", {(c.name, c.value) for c in cookies.cookies} >= {("a", "1")}, True)
    same("a long field", cookies.headers["x-long"], "x" * 12_000)
    same("no body", session.get(f"{NODE}/status/204", timeout=10).content, b"")


def uploads() -> None:
    body, whole = pieces()
    told = session.post(f"{NODE}/echo", data=body, timeout=10).json()
    same("upload in chunks", (told["count"], told["sha256"]), (len(whole), sha256(whole)))
    same("it was chunked", told["headers"]["transfer-encoding"], "chunked")
    told = session.put(f"{NODE}/echo?q=%20", data=whole, timeout=10).json()
    same("sized upload", (told["url"], told["sha256"]), ("/echo?q=%20", sha256(whole)))
    told = session.post(f"{NODE}/echo", files={"file": ("a.bin", whole)}, timeout=10).json()
    same("a form", told["headers"]["content-type"].split(";")[0], "multipart/form-data")
    told = session.post(f"{NODE}/echo", json={"é": [1, 2.5, None]}, timeout=10).json()
    same("JSON", told["headers"]["content-type"], "application/json")


def events() -> None:
    begun = time.monotonic()
    times, ids = [], []
    with session.get(f"{NODE}/events/{COUNT}/{GAP_MS}", stream=True, timeout=10) as got:
        same("events: type", got.headers["Content-Type"], "text/event-stream")
        for line in got.iter_lines(chunk_size=1):
            if line.startswith(b"id: "):
                ids.append(int(line[4:]))
                times.append(time.monotonic() - begun)
    same("events: all in order", ids, list(range(1, COUNT + 1)))
    # Together they would have come at the end: a proxy that collects shows here.
    at_least("events: one by one", times[-1] - times[0], (COUNT - 1) * GAP_MS / 1e3 * 0.8)


def connections() -> None:
    ports = set()
    for n in range(50):
        with session.get(f"{NODE}/sized/{n * 100}", stream=True, timeout=10) as got:
            ports.add(got.raw.connection.sock.getsockname()[1] if got.raw.connection else None)
            same("on one connection", len(got.content), n * 100)
    same("one connection for 50", len(ports - {None}) <= 1, True)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(requests.get, f"{NGINX}/text?{n}", timeout=10) for n in range(100)]
        got = {sha256(one.result().content) for one in asked}
        same("100 by 16 threads", got, {sha256(b"x" * 3000)})


downloads()
uploads()
events()
connections()
all_good("requests")
