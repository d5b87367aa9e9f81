"""The HTTP session of a DICOMweb connection: who it says it is, how fast it asks, what it moved."""

from __future__ import annotations

import threading
from typing import Any

import requests
from dicomweb_client.session_utils import add_certs_to_session, create_session_from_user_pass
from requests.adapters import HTTPAdapter

from lesiongraph.mining.pacs.address import PacsSettings
from lesiongraph.mining.pacs.traffic import RateLimit, Traffic
from lesiongraph.mining.pacs.whole_answers import check_parts


class CountingSession(requests.Session):
    """A session that waits for its turn, counts, and checks that a multipart answer is whole."""

    def __init__(self, settings: PacsSettings, traffic: Traffic) -> None:
        super().__init__()
        self._limit, self._traffic = RateLimit(settings.rate), traffic
        self._last = threading.local()
        self.trust_env = False  # neither proxies nor a .netrc: a PACS is asked directly, with what was given
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=settings.parallel + 1)  # and the caller's own
        self.mount("http://", adapter)
        self.mount("https://", adapter)
        if settings.token:
            self.headers["Authorization"] = f"Bearer {settings.token}"
        if settings.user:
            self.auth = create_session_from_user_pass(settings.user, settings.password).auth
        if settings.ca is not None:
            add_certs_to_session(self, ca_bundle=str(settings.ca))

    @property
    def says_more_remain(self) -> bool:
        """Whether this thread's last answer said that more results remain."""
        return str(getattr(self._last, "warning", "")).startswith("299")

    def request(self, method: str, url: str, *args: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request in its turn; an answer in parts that is not whole is a `CorruptAnswerError`."""
        self._limit.wait()
        options["headers"] = {
            k: v for k, v in (options.get("headers") or {}).items() if k != "Host"
        }  # lacks the port
        self._traffic.add(requests=1, sent=len(options.get("data") or b""))
        answer = super().request(method, url, *args, **options)
        # what came over the wire, before any content encoding was undone
        moved = answer.raw.tell() if answer.raw is not None else len(answer.content)
        self._traffic.add(received=moved, decoded=len(answer.content))
        self._last.warning = answer.headers.get("Warning", "")
        if answer.ok:
            check_parts(answer)
        return answer
