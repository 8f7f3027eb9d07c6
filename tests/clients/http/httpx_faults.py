"""What httpx sees of each fault."""

import httpx
from checks import all_good
from faults import Answer, every_fault


class Httpx:
    name = "httpx"
    reset = (httpx.ReadError, httpx.RemoteProtocolError)
    cut = (httpx.ReadError, httpx.RemoteProtocolError)
    malformed = (httpx.RemoteProtocolError,)

    def __init__(self) -> None:
        self.client = httpx.Client(trust_env=False, timeout=10)

    def ask(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        got = self.client.request(method, url, content=body, headers=headers)
        fields = {name.lower(): value for name, value in got.headers.items()}
        return Answer(got.status_code, fields, got.content, 0)


every_fault(Httpx())
all_good("httpx")
