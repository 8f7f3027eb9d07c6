"""Counts in redis over and over, and says what the link does to it. Nothing to install.

    client.py HOST PORT [ROUNDS]
"""

import socket
import sys
import time

PATIENCE_S = 1.0  # a client that waits for ever learns nothing from a flaky link
COMMANDS = 10  # on each connection


def counts(host: str, port: int) -> str:
    """One connection: ten INCR, each answer awaited."""
    late_ms = []
    try:
        with socket.create_connection((host, port), timeout=PATIENCE_S) as link:
            for _ in range(COMMANDS):
                begun = time.monotonic()
                link.sendall(b"INCR seen\r\n")
                answer = b""
                while not answer.endswith(b"\r\n"):
                    chunk = link.recv(64)
                    if not chunk:
                        return f"closed after {len(late_ms)} answers"
                    answer += chunk
                late_ms.append((time.monotonic() - begun) * 1000)
    except ConnectionResetError:
        return f"reset after {len(late_ms)} answers"
    except TimeoutError:
        return f"silent after {len(late_ms)} answers"
    except OSError as error:
        return f"not reached: {error}"
    late = f"{min(late_ms):.0f} to {max(late_ms):.0f} ms"
    return f"{len(late_ms)} answers, each {late} late; redis counts {answer[1:-2].decode()}"


def main() -> None:
    host, port, *rounds = sys.argv[1:]
    number = 0
    while not rounds or number < int(rounds[0]):
        number += 1
        print(f"connection {number}: {counts(host, int(port))}")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
