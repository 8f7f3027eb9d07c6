"""What requests sees of each fault."""

import requests
from checks import all_good
from faults import Answer, every_fault
from requests.exceptions import ChunkedEncodingError, ConnectionError, InvalidHeader


class Requests:
    name = "requests"
    reset = (ConnectionError,)
    cut = (ChunkedEncodingError, ConnectionError)
    malformed = (ChunkedEncodingError, ConnectionError, InvalidHeader)

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False

    def ask(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        got = self.session.request(method, url, data=body, headers=headers, timeout=10)
        fields = {name.lower(): value for name, value in got.headers.items()}
        return Answer(got.status_code, fields, got.content, 0)


every_fault(Requests())
all_good("requests")
