"""Finds or installs what the benchmark needs: the binary, the load tool, the other proxies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "target" / "bench"
BINARIES = ["target/x86_64-unknown-linux-musl/release/chaos-proxy", "target/release/chaos-proxy"]
PACKAGES = {
    "haproxy": "haproxy",
    "redis-server": "redis-server",
    "redis-benchmark": "redis-tools",
    "iperf3": "iperf3",
    "nginx": "nginx",
    "wrk": "wrk",
}
TOXIPROXY_VERSION = "v2.12.0"
TOXIPROXY = f"github.com/Shopify/toxiproxy/v2/cmd/server@{TOXIPROXY_VERSION}"
BEGAN = time.monotonic()
INSTALL_SECONDS = 300.0
VERSION_SECONDS = 5.0


class MissingTool(Exception):
    """Something is not there and could not be fetched; the text says the way out."""


@dataclass(frozen=True)
class Tools:
    """Where the programs are."""

    binary: Path
    load: str
    haproxy: str
    toxiproxy: str | None
    redis_server: str
    redis_benchmark: str
    iperf3: str
    nginx: str
    wrk: str

    def versions(self) -> dict[str, str]:
        """What each program says it is."""
        found = {
            "chaos-proxy": first_line([str(self.binary), "--version"]),
            "haproxy": first_line([self.haproxy, "-v"]),
            "redis": first_line([self.redis_server, "--version"]),
            "iperf3": first_line([self.iperf3, "--version"]),
            "nginx": first_line([self.nginx, "-v"]),
            "wrk": first_line([self.wrk, "-v"]),
        }
        if self.toxiproxy is not None:
            found["toxiproxy"] = TOXIPROXY_VERSION  # the program says "git"
        return found


def say(text: str) -> None:
    """Progress goes to stderr; stdout is for the report."""
    print(f"bench {time.monotonic() - BEGAN:4.0f} s: {text}", file=sys.stderr, flush=True)


def find_tools(binary: Path | None) -> Tools:
    """Everything that a run needs, installed first where it is missing."""
    chosen = find_binary(binary)
    CACHE.mkdir(parents=True, exist_ok=True)
    install_packages()
    return Tools(
        binary=chosen,
        load=build_load(),
        haproxy=which("haproxy") or "haproxy",
        toxiproxy=find_toxiproxy(),
        redis_server=which("redis-server") or "redis-server",
        redis_benchmark=which("redis-benchmark") or "redis-benchmark",
        iperf3=which("iperf3") or "iperf3",
        nginx=which("nginx") or "nginx",
        wrk=which("wrk") or "wrk",
    )


def find_binary(binary: Path | None) -> Path:
    """The binary to test: the given one, else the static release build, else the plain one."""
    candidates = [binary] if binary is not None else [ROOT / path for path in BINARIES]
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate.resolve()
    looked = str(binary) if binary is not None else " or ".join(BINARIES)
    raise MissingTool(f"no chaos-proxy binary at {looked}; build one: cargo build --release")


def which(program: str) -> str | None:
    """Servers are installed in sbin, which is not on everybody's path."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def install_packages() -> None:
    """Installs the Debian packages of the programs that are not there."""
    missing = sorted({package for program, package in PACKAGES.items() if which(program) is None})
    if not missing:
        return
    wanted = " ".join(missing)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise MissingTool(
            f"missing: {wanted}; as root: apt-get update && apt-get install -y {wanted}"
        )
    say(f"installing {wanted}")
    quiet({"DEBIAN_FRONTEND": "noninteractive"}, ["apt-get", "update"])
    quiet({"DEBIAN_FRONTEND": "noninteractive"}, ["apt-get", "install", "-y", *missing])


def build_load() -> str:
    """The load tool, built in its own target folder."""
    manifest = ROOT / "bench" / "load" / "Cargo.toml"
    target = CACHE / "load"
    quiet(
        {},
        [
            "cargo",
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--manifest-path",
            str(manifest),
            "--target-dir",
            str(target),
        ],
    )
    return str(target / "release" / "load")


def find_toxiproxy() -> str | None:
    """Toxiproxy's server, by `go install` into the cache; None where Go cannot do it."""
    program = CACHE / "go" / "server"
    if program.is_file():
        return str(program)
    say("installing Toxiproxy with Go")
    try:
        quiet({"GOBIN": str(program.parent)}, ["go", "install", TOXIPROXY])
    except MissingTool as error:
        say(f"SKIPPED: Toxiproxy will not be measured: {error}")
        return None
    return str(program)


def quiet(env: dict[str, str], command: list[str]) -> None:
    """Runs an installer or a build; its output is shown only if it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **env},
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingTool(f"{' '.join(command[:2])}: {error}") from error
    if done.returncode != 0:
        raise MissingTool(f"{' '.join(command[:2])} failed:\n{done.stdout.strip()}")


def first_line(command: list[str]) -> str:
    """The first line that a program prints about itself."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "unknown"
