"""podman with everything it keeps in one folder, so that a trial leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

# crun refuses hybrid cgroups, and some machines refuse to raise the limits that are the default;
# there is no journal to log into in a container of a CI.
SETTINGS = """
[containers]
default_ulimits = ["nofile=4096:8192", "nproc=4096:8192"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{networks}"
"""

HARDENED = [
    "--read-only",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--user=65532",
    "--memory=64m",
    "--pids-limit=128",
]


class Podman:
    """podman, and what was created with it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        settings = folder / "containers.conf"
        settings.write_text(SETTINGS.format(networks=folder / "networks"))
        self.env = os.environ | {
            "CONTAINERS_CONF": str(settings),
            "DISABLE_HC_SYSTEMD": "true",  # health checks run when they are asked to
        }
        parts = ["root", "runroot", "tmpdir"]
        self.command = ["podman", *(f"--{part}={folder / part}" for part in parts)]
        self.command.append("--storage-driver=vfs")  # overlay does not lie on overlay
        self.containers: list[str] = []
        self.networks: list[str] = []

    def run(self, *args: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Carries a command out; whatever becomes of it is the caller's."""
        command = [*self.command, *args]
        return subprocess.run(
            command, env=self.env, text=True, capture_output=True, timeout=timeout_s
        )

    def do(self, *args: str, timeout_s: float = 60) -> str:
        """Carries a command out that must not fail, and gives what it printed."""
        done = self.run(*args, timeout_s=timeout_s)
        if done.returncode != 0:
            raise RuntimeError(f"podman {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def build(self, context: Path, tag: str) -> None:
        """Builds the image from the binary that lies in the context."""
        # Health checks are no part of the OCI format.
        self.do("build", "--format=docker", "--target=prebuilt", f"--tag={tag}", str(context))

    def inspect(self, what: str, kind: str = "container") -> dict:
        """What podman knows of it."""
        return json.loads(self.do(kind, "inspect", what))[0]

    def create(self, name: str, *args: str) -> None:
        """Creates a container, hardened, to be removed at the end."""
        self.containers.append(name)
        self.do("create", f"--name={name}", *HARDENED, *args)

    def bridge(self, name: str) -> str:
        """Creates a network; gives the address of this machine on it."""
        self.networks.append(name)
        self.do("network", "create", name)
        return self.inspect(name, "network")["subnets"][0]["gateway"]

    def clean_up(self) -> None:
        """Removes all of it."""
        for name in self.containers:
            self.run("rm", "--force", "--time=0", name)
        for name in self.networks:
            self.run("network", "rm", "--force", name)
        self.run("rmi", "--all", "--force")
