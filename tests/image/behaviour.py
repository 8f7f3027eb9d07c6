"""What a client sees of the links in `config`, and what the upstream behind them is.

Runs in the network of the proxy, or beside it, and prints one line for each thing seen, without
any figure that differs from run to run: two runs can be compared line by line.

    behaviour.py PROXY_ADDRESS UPSTREAM_ADDRESS
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time

PATIENCE_S = 10.0
UPSTREAM_PORT = 9001
NOBODY_PORT = 9009
DROPS = 40  # connections, of which some are dropped, the same ones under one seed


def config(upstream: str) -> str:
    """A link of each kind, to the upstream at that address; 127.0.0.1 stands for no address."""
    echo = f"{upstream}:{UPSTREAM_PORT}"
    routes = [
        {"name": "clean", "localPort": 7001, "upstream": echo},
        {"name": "slow", "localPort": 7002, "upstream": echo, "latencyMs": 100},
        {"name": "dropping", "localPort": 7003, "upstream": echo, "dropRate": 0.3},
        {"name": "idle", "localPort": 7004, "upstream": echo, "timeoutMs": 200},
        {"name": "nobody", "localPort": 7005, "upstream": f"{upstream}:{NOBODY_PORT}"},
        {
            "name": "limited",
            "localPort": 7006,
            "upstream": echo,
            "faults": [{"type": "limit_data", "bytes": 1000}],
        },
    ]
    return json.dumps(
        {"seed": 42, "log": {"format": "json"}, "shutdown": {"graceMs": 500}, "routes": routes}
    )


def serve_echo(address: str) -> None:
    """Answers every byte with itself and a FIN with a FIN, in the background."""
    listener = socket.create_server((address, UPSTREAM_PORT))

    def echo(client: socket.socket) -> None:
        with client:
            try:
                while chunk := client.recv(65536):
                    client.sendall(chunk)
            except OSError:
                pass  # the proxy has cut it: that is its business

    def accept() -> None:
        while True:
            threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def connect(proxy: str, port: int) -> socket.socket:
    return socket.create_connection((proxy, port), timeout=PATIENCE_S)


def read_all(client: socket.socket) -> tuple[bytes, str]:
    """Everything up to the end, and what that is."""
    came = bytearray()
    try:
        while chunk := client.recv(65536):
            came += chunk
        return bytes(came), "FIN"
    except ConnectionResetError:
        return bytes(came), "RST"
    except TimeoutError:
        return bytes(came), "silence"


def talk(proxy: str, port: int, data: bytes, then_fin: bool) -> tuple[bytes, str]:
    """Connects, sends it all, and reads to the end meanwhile. RST may come at any moment, and is
    told to one call only: the one that connects, sends or reads."""
    resets = []

    def send(client: socket.socket) -> None:
        try:
            client.sendall(data)
            if then_fin:
                client.shutdown(socket.SHUT_WR)
        except ConnectionResetError:
            resets.append("RST")
        except OSError:
            pass  # a link may end before it has taken everything

    try:
        client = connect(proxy, port)
    except ConnectionResetError:
        return b"", "RST"
    with client:
        sender = threading.Thread(target=send, args=(client,))
        sender.start()
        came, end = read_all(client)
        sender.join()
        return came, "RST" if resets else end


def observe(proxy: str) -> list[str]:
    """One line for each link."""
    seen = []

    data = bytes(range(256)) * 4096
    came, end = talk(proxy, 7001, data, then_fin=True)
    seen.append(f"clean: {len(came)} bytes, intact {came == data}, then {end}")

    with connect(proxy, 7002) as client:
        begun = time.monotonic()
        client.sendall(b"ping")
        came = client.recv(4)
        late_ms = (time.monotonic() - begun) * 1000
    seen.append(f"slow: {came!r}, 100 to 2000 ms late {100 <= late_ms < 2000}")

    ends = ""
    for _ in range(DROPS):
        came, end = talk(proxy, 7003, b"x", then_fin=True)
        ends += "." if (came, end) == (b"x", "FIN") else end[0]
    seen.append(f"dropping: {ends}")

    begun = time.monotonic()
    _, end = talk(proxy, 7004, b"", then_fin=False)
    after_ms = (time.monotonic() - begun) * 1000
    seen.append(f"idle: {end}, after 200 to 2000 ms {200 <= after_ms < 2000}")

    came, end = talk(proxy, 7005, b"", then_fin=False)
    seen.append(f"nobody: {len(came)} bytes, then {end}")

    came, end = talk(proxy, 7006, b"y" * 5000, then_fin=False)
    seen.append(f"limited: {len(came)} bytes, then {end}")
    return seen


def main() -> None:
    proxy, upstream = sys.argv[1:]
    serve_echo(upstream)
    print("\n".join(observe(proxy)))


if __name__ == "__main__":
    main()
