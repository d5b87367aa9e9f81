"""DICOM as a plain tree of raw elements, so that a test can write what no DICOM library would."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO

from pydicom import Dataset

LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)


@dataclass
class Element:
    """One data element: `items` where it is a sequence, else `value`; `length` overrides the true one."""

    tag: tuple[int, int]
    vr: bytes
    value: bytes = b""
    items: list[list[Element]] | None = None
    length: int | None = None

    def encoded(self) -> bytes:
        body = self.value
        if self.items is not None:
            body = b"".join(_item(item) for item in self.items) + _head(SEQUENCE_END, 0)
        length = len(body) if self.length is None else self.length
        if self.items is not None and self.length is None:
            length = UNDEFINED
        if self.vr in LONG_VRS:
            return struct.pack("<HH2sHI", *self.tag, self.vr, 0, length) + body
        return struct.pack("<HH2sH", *self.tag, self.vr, length & 0xFFFF) + body


@dataclass
class File:
    """Preamble and meta group as they were, and the tree."""

    head: bytes
    elements: list[Element] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"File of {len(self.elements)} elements"

    def encoded(self) -> bytes:
        return self.head + b"".join(element.encoded() for element in self.elements)

    def walk(self) -> list[tuple[list[Element], Element]]:
        """Return every element with the list that holds it."""
        return list(_walk(self.elements))


def parse(ds: Dataset) -> File:
    """Return a data set (explicit VR little endian) as a tree."""
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    data = buffer.getvalue()
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    elements, _ = _parse(data, start, len(data))
    return File(data[:start], elements)


def _head(tag: tuple[int, int], length: int) -> bytes:
    return struct.pack("<HHI", *tag, length)


def _item(elements: list[Element]) -> bytes:
    body = b"".join(element.encoded() for element in elements)
    return _head(ITEM, UNDEFINED) + body + _head(ITEM_END, 0)


def _walk(elements: list[Element]) -> Iterator[tuple[list[Element], Element]]:
    for element in list(elements):
        yield elements, element
        for item in element.items or []:
            yield from _walk(item)


def _parse(data: bytes, at: int, end: int) -> tuple[list[Element], int]:
    elements = []
    while at < end:
        tag = struct.unpack_from("<HH", data, at)
        if tag == ITEM_END:
            return elements, at + 8
        vr = data[at + 4 : at + 6]
        if vr in LONG_VRS:
            length, at = struct.unpack_from("<I", data, at + 8)[0], at + 12
        else:
            length, at = struct.unpack_from("<H", data, at + 6)[0], at + 8
        if vr == b"SQ":
            items, at = _parse_items(data, at, end if length == UNDEFINED else at + length)
            elements.append(Element(tag, vr, items=items))
        else:
            elements.append(Element(tag, vr, data[at : at + length]))
            at += length
    return elements, at


def _parse_items(data: bytes, at: int, end: int) -> tuple[list[list[Element]], int]:
    items = []
    while at < end:
        tag, length = struct.unpack_from("<HH", data, at), struct.unpack_from("<I", data, at + 4)[0]
        at += 8
        if tag == SEQUENCE_END:
            break
        item, at = _parse(data, at, end if length == UNDEFINED else at + length)
        items.append(item)
    return items, at
