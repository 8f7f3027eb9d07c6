"""What the clients written in Python share."""

import hashlib
import os
import sys

NODE, NGINX = os.environ.get("NODE", ""), os.environ.get("NGINX", "")
COUNT, GAP_MS = 5, 60  # events of a stream, and the time between two
good: list[str] = []


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def same(what: str, got: object, wanted: object) -> None:
    """Counts a check; the first that fails ends the client."""
    if got != wanted:
        sys.exit(f"FAIL  {what}: got {got!r}, wanted {wanted!r}")
    good.append(what)


def at_least(what: str, got: float, least: float) -> None:
    if got < least:
        sys.exit(f"FAIL  {what}: got {got:.4f}, wanted at least {least:.4f}")
    good.append(what)


def pieces(count: int = 300, size: int = 20_011):
    """A body in pieces, as an iterator, and what it all is."""
    whole = b"".join(bytes([n % 251]) * size for n in range(count))
    return (whole[at : at + size] for at in range(0, len(whole), size)), whole


def large() -> bytes:
    with open(os.path.join(os.environ["FOLDER"], "www", "large"), "rb") as file:
        return file.read()


def all_good(name: str) -> None:
    print(f"{name}: {len(good)} good")
