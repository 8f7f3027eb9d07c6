"""podman with everything it keeps in one folder, so that a trial leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# runc, for crun refuses hybrid cgroups; and no journal, for there may be none to log into.
SETTINGS = """
[containers]
log_driver = "k8s-file"
[engine]
runtime = "runc-bounded"
runtime_supports_json = ["runc-bounded"]
cgroup_manager = "cgroupfs"
events_logger = "file"
[engine.runtimes]
runc-bounded = ["{runtime}"]
[network]
network_backend = "netavark"
network_config_dir = "{networks}"
"""

# podman asks for a million descriptors. Where even root may not raise its limits, runc would refuse
# to start anything: it is asked for what there is.
RUNTIME = """#!{python}
import json, os, resource, sys
path = None
if "create" in sys.argv:
    path = sys.argv[sys.argv.index("--bundle") + 1] + "/config.json"
elif "exec" in sys.argv:
    path = sys.argv[sys.argv.index("--process") + 1]
if path:
    with open(path) as file:
        spec = json.load(file)
    for limit in spec.get("process", spec).get("rlimits", []):
        most = resource.getrlimit(getattr(resource, limit["type"]))[1]
        if most != resource.RLIM_INFINITY:
            limit.update({{key: min(limit[key], most) for key in ("soft", "hard")}})
    with open(path, "w") as file:
        json.dump(spec, file)
os.execvp("runc", ["runc", *sys.argv[1:]])
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
        runtime = folder / "runc-bounded"
        runtime.write_text(RUNTIME.format(python=sys.executable))
        runtime.chmod(0o755)
        settings = folder / "containers.conf"
        settings.write_text(SETTINGS.format(networks=folder / "networks", runtime=runtime))
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
        known = json.loads(self.do(kind, "inspect", what))
        return known[0] if isinstance(known, list) else known  # pods come alone

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
