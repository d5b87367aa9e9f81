"""Requests counted, held to a rate, and repeated with growing pauses where a repetition may help."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

Answer = TypeVar("Answer")
_LONGEST_PAUSE_S = 60.0


@dataclass
class Traffic:
    """What was asked of a PACS and what came back; may be counted into by several threads."""

    requests: int = 0
    retries: int = 0
    bytes_received: int = 0  # over the wire
    bytes_decoded: int = 0  # the same after a content encoding (gzip) was undone
    bytes_sent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(
        self, *, requests: int = 0, retries: int = 0, received: int = 0, decoded: int = 0, sent: int = 0
    ) -> None:
        """Count."""
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.bytes_received += received
            self.bytes_decoded += decoded
            self.bytes_sent += sent


class RateLimit:
    """Lets `rate` callers a second through, evenly; 0 lets all through."""

    def __init__(self, rate: float) -> None:
        self._interval_s = 1 / rate if rate > 0 else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when it is this caller's turn."""
        if not self._interval_s:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval_s
        time.sleep(turn - now)


class Transient(Exception):  # noqa: N818 - not an error yet: the call is repeated
    """What a call raises where a repetition may help; `pause_s` is what the server asked to wait."""

    def __init__(self, cause: str, pause_s: float = 0.0) -> None:
        self.cause = cause
        self.pause_s = pause_s
        super().__init__(cause)


def repeated(
    call: Callable[[], Answer],
    *,
    retries: int,
    backoff_s: float,
    traffic: Traffic,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Call until it succeeds, at most `retries` times more; pauses double, each with jitter.

    Jitter keeps the parallel requests of one run from coming back all at once to a PACS that fell over.

    Raises
    ------
    Transient
        The last one, where no attempt succeeded.
    """
    for attempt in range(retries + 1):
        try:
            return call()
        except Transient as failed:
            if attempt == retries:
                raise
            traffic.add(retries=1)
            pause_s = backoff_s * 2**attempt * random.uniform(0.5, 1.5)
            sleep(min(_LONGEST_PAUSE_S, max(pause_s, failed.pause_s)))
    raise AssertionError("unreachable: the loop returns or raises")
