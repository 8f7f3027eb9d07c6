"""The scenario with toxiproxy-python: every toxic is added, seen, listed and removed.

Usage: scenario.py PORT, with a server on 127.0.0.1:PORT and its API.
"""

import socket
import sys
import threading
import time

from toxiproxy import Toxiproxy

TOXICS = {
    "latency": {"latency": 100, "jitter": 0},
    "bandwidth": {"rate": 1000},
    "slow_close": {"delay": 10},
    "timeout": {"timeout": 0},
    "reset_peer": {"timeout": 10},
    "slicer": {"average_size": 1, "size_variation": 0, "delay": 10},
    "limit_data": {"bytes": 3},
}


def echo_server() -> int:
    """An echo server on a thread; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with client:
            try:
                while data := client.recv(4096):
                    client.sendall(data)
            except OSError:
                pass

    def accept() -> None:
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def connect(proxy) -> socket.socket:
    host, port = proxy.listen.rsplit(":", 1)
    return socket.create_connection((host.strip("[]"), int(port)), timeout=5)


def round_trip(client: socket.socket, message: bytes = b"hello") -> tuple[bytes, float]:
    """What comes back until all is there or it ends, and how long it took."""
    begun = time.monotonic()
    got = b""
    try:
        client.sendall(message)
        while len(got) < len(message):
            data = client.recv(4096)
            if not data:
                break
            got += data
    except OSError as error:
        got += type(error).__name__.encode()
    return got, time.monotonic() - begun


def see(kind: str, proxy) -> None:
    """Looks at the effect of a toxic on a new connection."""
    with connect(proxy) as client:
        if kind == "timeout":
            client.settimeout(0.2)
            got, _ = round_trip(client)
            assert got == b"TimeoutError", got
            return
        got, took = round_trip(client)
    expected = {"limit_data": b"hel", "reset_peer": b"ConnectionResetError"}.get(kind, b"hello")
    assert got == expected, (kind, got)
    assert kind != "latency" or took >= 0.1, took


def main() -> None:
    server = Toxiproxy()
    server.update_api_consumer("127.0.0.1", int(sys.argv[1]))
    assert server.running() and server.version().startswith(b'{"version": "'), server.version()
    upstream = f"127.0.0.1:{echo_server()}"
    proxy = server.create(upstream=upstream, name="echo", listen="127.0.0.1:0")
    assert round_trip(connect(proxy))[0] == b"hello"
    live = connect(proxy)
    assert round_trip(live)[0] == b"hello"
    for kind, attributes in TOXICS.items():
        proxy.add_toxic(type=kind, attributes=attributes)
        toxic = proxy.get_toxic(f"{kind}_downstream")
        assert (toxic.type, toxic.stream, toxic.toxicity) == (kind, "downstream", 1)
        assert toxic.attributes == attributes, toxic.attributes
        see(kind, proxy)
        if kind == "latency":
            assert round_trip(live)[1] >= 0.1, "a live connection feels it, too"
        assert proxy.destroy_toxic(toxic.name)
        assert proxy.toxics() == {}
        assert round_trip(connect(proxy))[0] == b"hello", f"{kind} is gone"
    with proxy.down():
        try:
            connect(proxy)
            raise AssertionError("it listens although it is disabled")
        except ConnectionRefusedError:
            pass
    assert round_trip(connect(proxy))[0] == b"hello"
    both = [
        {"name": "echo", "upstream": upstream, "listen": proxy.listen},
        {"name": "more", "upstream": upstream, "listen": "127.0.0.1:0"},
    ]
    server.populate(both)
    assert sorted(server.proxies()) == ["echo", "more"]
    proxy.add_toxic(type="latency", stream="upstream", attributes={"latency": 5000})
    assert server.reset() and proxy.toxics() == {}
    server.destroy_all()
    assert server.proxies() == {}
    print("toxiproxy-python: ok")


main()
