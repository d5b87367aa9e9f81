"""Whether an answer came whole: a client would take what came of it."""

from __future__ import annotations

import io
import re

import requests
from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.limits import check_inflated_stream
from lesiongraph.mining.pacs.errors import CorruptAnswerError

_UNDEFINED_LENGTH = 0xFFFFFFFF


def check_parts(answer: requests.Response) -> None:
    """Refuse a multipart answer without its end, with a part that is short, or that unpacks without bound.

    The client would take what came of it.
    """
    kind = answer.headers.get("Content-Type", "")
    if not kind.lower().startswith("multipart/related"):
        return
    boundary = next(
        (v for k, _, v in (p.strip().partition("=") for p in kind.split(";")) if k.lower() == "boundary"), ""
    )
    if not boundary:
        return
    start = b"--" + boundary.strip('"').encode()
    end = start + b"--"
    if end not in answer.content[-len(end) - 64 :]:
        raise CorruptAnswerError(
            "a multipart answer", "its closing boundary", f"{len(answer.content)} bytes without"
        )
    for part in answer.content.split(start)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        stated = re.search(rb"(?im)^content-length: *([0-9]+)", head)
        if stated and int(stated[1]) != (length := len(body) - len(b"\r\n")):
            raise CorruptAnswerError("a part of an answer", f"{int(stated[1])} bytes", f"{length}")
        if b"application/dicom\r" in head:
            check_inflated_stream(io.BytesIO(body))


def check_whole(dataset: Dataset, instance: str) -> None:
    """Refuse an instance whose last value is cut, or that is another one."""
    found = values.text(dataset, "SOPInstanceUID")
    if found != instance:
        raise CorruptAnswerError("an instance", "the one that was asked for", "another")
    last: object = dataset.get_item(max(dataset.keys()))
    if (
        isinstance(last, RawDataElement)
        and last.length != _UNDEFINED_LENGTH
        and len(last.value or b"") != last.length
    ):
        raise CorruptAnswerError(
            "an instance", f"a last value of {last.length} bytes", f"{len(last.value or b'')}"
        )
