"""Starts and ends programs: each one by its own process, each wait with a bound."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

START_SECONDS = 10.0
STOP_SECONDS = 3.0
DEATH_SECONDS = 2.0
POLL_SECONDS = 0.01


class MeasureError(Exception):
    """A figure that could not be taken, and why. It concerns one subject; the run goes on."""


def free_port() -> int:
    """A TCP port that the system just handed out and nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening_ports() -> set[int]:
    """All IPv4 ports with a listener. A trial connect instead would go on to the upstream."""
    ports = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    return ports


def busy_percent(seconds: float) -> float:
    """The share of all processors that other programs take while this one waits."""
    before = processor_ticks()
    time.sleep(seconds)
    total, idle = (now - then for now, then in zip(processor_ticks(), before, strict=True))
    return 100 * (1 - idle / max(total, 1))


def processor_ticks() -> tuple[int, int]:
    """All ticks since the system started, and those without work."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return sum(ticks), ticks[3] + ticks[4]


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Whether `true` became so in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True


def run(command: list[str], seconds: float) -> str:
    """The stdout of a program that ends by itself."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MeasureError(f"{name_of(command)} took more than {seconds:.0f} s") from error
    if done.returncode != 0:
        said = last_line(done.stderr or done.stdout)
        raise MeasureError(f"{name_of(command)} failed ({done.returncode}): {said}")
    return done.stdout


def run_json(command: list[str], seconds: float) -> Any:
    """The JSON that a program prints."""
    return json.loads(run(command, seconds))


def name_of(command: list[str]) -> str:
    """The program and its first word, as a message wants them."""
    return " ".join([Path(command[0]).name, *command[1:2]])


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"


class Processes:
    """Every long-running program of a measurement. Leaving the `with` block ends each of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[subprocess.Popen[bytes]] = []
        self.logs: dict[int, Path] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C has to wait until every program has ended.
        earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            for child in reversed(self.children):
                stop(child)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, earlier)

    def start(
        self, command: list[str], ports: list[int], env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a server and waits until it listens on `ports`. What it says goes to a file."""
        log_path = self.folder / f"{len(self.children)}-{Path(command[0]).name}.log"
        with log_path.open("wb") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
                # Ctrl-C reaches this program alone, which ends the others. Not a new session: Linux
                # shares the processors by session first (sched_autogroup), whatever they do.
                process_group=0,
            )
        self.children.append(child)
        self.logs[child.pid] = log_path
        wanted = set(ports)
        wait_until(lambda: child.poll() is not None or wanted <= listening_ports(), START_SECONDS)
        if child.poll() is not None or not wanted <= listening_ports():
            said = last_line(log_path.read_text(errors="replace"))
            raise MeasureError(f"{name_of(command)} does not listen: {said}")
        return child

    def deaths(self) -> str:
        """Which servers have ended although nobody ended them, and their last words."""
        # A process with thousands of threads takes a moment to die.
        servers = [child for child in self.children if child.pid in self.logs]
        wait_until(lambda: any(child.poll() is not None for child in servers), DEATH_SECONDS)
        return "".join(
            f"; {Path(str(child.args[0])).name} ended ({child.returncode}): "
            + last_line(self.logs[child.pid].read_text(errors="replace"))
            for child in servers
            if child.poll() is not None and isinstance(child.args, list)
        )

    def start_piped(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Starts a program that is talked to through stdin and stdout."""
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )
        self.children.append(child)
        return child


def stop(child: subprocess.Popen[bytes]) -> None:
    """Ends one program: politely, then for certain."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
