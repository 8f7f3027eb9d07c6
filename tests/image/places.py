"""Where the proxy is tried: as a plain process, alone in an empty root, in a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from engine import Podman

CONFIG_PATH = "/etc/chaos-proxy/config.yaml"
USER = 65532
IMAGE_ENV = {  # as the Dockerfile sets it
    "CHAOS_PROXY_CONFIG": CONFIG_PATH,
    "CHAOS_PROXY_BIND": "0.0.0.0",
    "CHAOS_PROXY_ADMIN": "127.0.0.1:8474",
}
PATIENCE_S = 10.0
BEHAVIOUR = str(Path(__file__).parent / "behaviour.py")

# Brings the loopback device up (SIOCSIFFLAGS, IFF_UP | IFF_RUNNING) and waits to be ended.
HOLD = """
import fcntl, socket, struct, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x41))
print("up", flush=True)
sys.stdin.read()
"""


class Network:
    """A network with a loopback device and nothing else."""

    def __init__(self) -> None:
        command = ["unshare", "--net", sys.executable, "-c", HOLD]
        pipe = subprocess.PIPE
        self.holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        if self.holder.stdout.readline() != "up\n":
            raise RuntimeError("no network namespace to be had")

    def close(self) -> None:
        self.holder.stdin.close()
        self.holder.wait()


def inside(pid: int) -> list[str]:
    """What puts a command into the network of a process."""
    return ["nsenter", f"--target={pid}", "--net"]


def timestamp(text: str) -> float:
    """The time of day, as logs write it; digits beyond microseconds do not count."""
    text = re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00"))
    return datetime.fromisoformat(text).timestamp()


class Place:
    """Somewhere to run the proxy once: `start`, then `health` and `see`, then `stop`."""

    name = ""
    upstream = "127.0.0.1"  # where the upstream listens
    proxy = "127.0.0.1"  # where clients connect

    def start(self, config: Path, args: list[str]) -> None:
        raise NotImplementedError

    def log(self) -> str:
        raise NotImplementedError

    def has_ended(self) -> bool:
        raise NotImplementedError

    def stop(self) -> int:
        """Asks it to end, waits, and gives its exit code."""
        raise NotImplementedError

    def health(self, *args: str) -> tuple[int, str]:
        raise NotImplementedError

    def network(self) -> list[str]:
        """What puts a command where the clients and the upstream are."""
        raise NotImplementedError

    def see(self) -> list[str]:
        """What a client sees there."""
        command = [*self.network(), sys.executable, BEHAVIOUR, self.proxy, self.upstream]
        done = subprocess.run(command, text=True, capture_output=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: {done.stderr}\nlog:\n{self.log()}")
        return done.stdout.splitlines()

    def wait_for(self, event: str) -> dict:
        """The first event of this kind in the log."""
        deadline = time.monotonic() + PATIENCE_S
        has_ended = False
        while not has_ended and time.monotonic() < deadline:
            has_ended = self.has_ended()  # before its last words are read
            for line in self.log().splitlines():
                if f'"event":"{event}"' in line:
                    return json.loads(line)
            time.sleep(0.01)
        raise RuntimeError(f"{self.name}: no {event} in its log:\n{self.log()}")

    def end(self) -> None:
        """Waits until it ends by itself."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.has_ended():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: it does not end:\n{self.log()}")
            time.sleep(0.01)


class Process(Place):
    """The binary as a process; with a root, alone in it as a user without rights."""

    def __init__(self, name: str, work: Path, binary: Path, in_root: bool) -> None:
        self.name = name
        self.work = work / name.replace(" ", "-")
        self.work.mkdir()
        self.root = self.work / "root"
        self.command = [str(binary)]
        if in_root:
            self.root.mkdir()
            shutil.copy2(binary, self.root / "chaos-proxy")
            self.command = ["chroot", f"--userspec={USER}:{USER}", str(self.root), "/chaos-proxy"]
        self.in_root = in_root
        self.space = Network()
        self.child = None

    def network(self) -> list[str]:
        return inside(self.space.holder.pid)

    def start(self, config: Path | None, args: list[str]) -> None:
        path = config or Path(CONFIG_PATH)
        if self.in_root:
            path = self.root / CONFIG_PATH[1:]
            shutil.rmtree(path.parent, ignore_errors=True)
            path.parent.mkdir(parents=True)
            if config is not None:
                copy = shutil.copytree if config.is_dir() else shutil.copy2
                copy(config, path)
        env = IMAGE_ENV | ({} if self.in_root else {"CHAOS_PROXY_CONFIG": str(path)})
        self.env = {"PATH": os.environ["PATH"]} | env
        self.begun = self.started = time.time()
        with open(self.work / "log", "w") as log:
            command = [*self.network(), *self.command, *args]
            self.child = subprocess.Popen(command, env=self.env, stderr=log)

    def log(self) -> str:
        return (self.work / "log").read_text()

    def has_ended(self) -> bool:
        return self.child.poll() is not None

    def code(self) -> int:
        return self.child.returncode

    def stop(self) -> int:
        self.child.send_signal(signal.SIGTERM)
        code = self.child.wait(PATIENCE_S)
        self.ended = time.time()
        return code

    def health(self, *args: str) -> tuple[int, str]:
        command = [*self.network(), *self.command, "health", *args]
        done = subprocess.run(command, env=self.env, text=True, capture_output=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def close(self) -> None:
        if self.child and not self.has_ended():
            self.child.kill()
            self.child.wait()
        self.space.close()


class Container(Place):
    """The image, hardened; without a network, or on a bridge."""

    def __init__(self, name: str, podman: Podman, image: str, network: str = "none") -> None:
        self.name = name
        self.id = "chaos-proxy-" + name.replace(" ", "-")
        self.podman, self.image, self.on = podman, image, network
        self.more: list[str] = []  # further arguments of `podman create`

    def start(self, config: Path | None, args: list[str]) -> None:
        mount = [f"--volume={config}:{CONFIG_PATH}:ro"] if config else []
        options = [f"--network={self.on}", *mount, *self.more]
        self.podman.run("rm", "--force", self.id)
        self.podman.create(self.id, *options, self.image, *args)
        self.begun = time.time()
        self.podman.do("start", self.id)
        known = self.podman.inspect(self.id)
        self.pid = known["State"]["Pid"]
        self.started = timestamp(known["State"]["StartedAt"])
        if self.on != "none":
            self.proxy = known["NetworkSettings"]["Networks"][self.on]["IPAddress"]

    def network(self) -> list[str]:
        return inside(self.pid) if self.on == "none" else []

    def log(self) -> str:
        done = self.podman.run("logs", self.id)
        return done.stdout + done.stderr

    def has_ended(self) -> bool:
        return not self.podman.inspect(self.id)["State"]["Running"]

    def code(self) -> int:
        return self.podman.inspect(self.id)["State"]["ExitCode"]

    def stop(self) -> int:
        self.podman.do("stop", self.id)
        self.ended = timestamp(self.podman.inspect(self.id)["State"]["FinishedAt"])
        return self.code()

    def health(self, *args: str) -> tuple[int, str]:
        done = self.podman.run("exec", self.id, "/chaos-proxy", "health", *args)
        return done.returncode, done.stdout + done.stderr

    def close(self) -> None:
        self.podman.run("rm", "--force", "--time=0", self.id)
