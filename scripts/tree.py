"""What is linked into the binary, from `cargo metadata`: for `audit` and `sbom`."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET = "x86_64-unknown-linux-musl"


def metadata() -> dict:
    command = ["cargo", "metadata", "--locked", "--format-version=1"]
    command.append(f"--filter-platform={TARGET}")
    done = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def linked() -> tuple[dict, list[dict]]:
    """Our own package, and the packages whose code is in the binary, by name."""
    known = metadata()
    packages = {package["id"]: package for package in known["packages"]}
    nodes = {node["id"]: node for node in known["resolve"]["nodes"]}
    root = known["resolve"]["root"]
    seen, open_ids = {root}, [root]
    while open_ids:
        for edge in nodes[open_ids.pop()]["deps"]:
            kinds = {kind["kind"] for kind in edge["dep_kinds"]}
            targets = packages[edge["pkg"]]["targets"]
            is_macro = any("proc-macro" in target["kind"] for target in targets)
            # What runs while it is built is not in it: build scripts' crates and macros.
            if None in kinds and not is_macro and edge["pkg"] not in seen:
                seen.add(edge["pkg"])
                open_ids.append(edge["pkg"])
    crates = sorted((packages[id] for id in seen - {root}), key=lambda package: package["name"])
    return packages[root], crates


def sources(package: dict) -> list[Path]:
    """The Rust files of a package that can be in the binary; not its tests and examples."""
    folder = Path(package["manifest_path"]).parent / "src"
    return sorted(folder.rglob("*.rs"))


def code_lines(path: Path) -> tuple[int, int]:
    """Lines of code, and those in which `unsafe` stands; comments and empty lines do not count."""
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    code = [line.split("//")[0] for line in lines if line and not line.startswith("//")]
    attribute = re.compile(r"(unsafe_code|unsafe_op_in_unsafe_fn|unsafe_attr)")
    return len(code), sum(bool(re.search(r"\bunsafe\b", attribute.sub("", line))) for line in code)


def licence_files(package: dict) -> list[Path]:
    """The texts of its licence that a package brings along."""
    folder = Path(package["manifest_path"]).parent
    wanted = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|COPYRIGHT)", re.IGNORECASE)
    return sorted(path for path in folder.iterdir() if path.is_file() and wanted.match(path.name))
