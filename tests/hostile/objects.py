"""Hostile DICOM objects: each function writes one below a folder and returns nothing."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from dicom_files import (
    GROUP,
    LONG,
    annotation,
    bidirectional,
    content,
    ct_slice,
    group,
    gsps,
    image_item,
    line,
    num,
    save,
    scoord,
    sr_document,
)
from dicom_tree import Element, parse
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

LONG_POINTS, SHORT_POINTS = (20.5, 30.5, 40.5, 30.5), (30.5, 26.5, 30.5, 34.5)
BOMB_PX = 40_000


def absurd_length(folder: Path, image: str) -> None:
    """An SR whose text says that it is 4 GB long."""
    file = parse(sr_document([bidirectional(image, LONG_POINTS, SHORT_POINTS)], name="absurd"))
    text = Element((0x0040, 0xA160), b"UT", b"endless ", length=0xFFFFFFF0)
    file.elements.append(text)
    (folder / "object").write_bytes(file.encoded())


def absurd_length_of_a_ct(folder: Path, image: str) -> None:
    """A CT slice whose kernel says that it is 4 GB long."""
    file = parse(ct_slice(5000, series="absurd"))
    place = next(i for i, element in enumerate(file.elements) if element.tag > (0x0008, 0x0099))
    file.elements.insert(place, Element((0x0008, 0x0099), b"UN", b"", length=0xFFFFFFF0))
    (folder / "object").write_bytes(file.encoded())


def nested(folder: Path, image: str) -> None:
    """An SR of 10,000 sequences, one in the other."""
    ds = sr_document([bidirectional(image, LONG_POINTS, SHORT_POINTS)], name="nested")
    file = parse(ds)
    start = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    file.elements = [element for element in file.elements if element.tag != (0x0040, 0xA730)]
    (folder / "object").write_bytes(file.encoded() + start * 10_000 + end * 10_000)


def nested_in_turn(folder: Path, image: str) -> None:
    """An SR of 100 containers, one in the other, the mark innermost: deep, but readable."""
    file = parse(sr_document([bidirectional(image, LONG_POINTS, SHORT_POINTS)], name="deep"))
    inner = next(element for element in file.elements if element.tag == (0x0040, 0xA730))
    for _ in range(100):
        kind = Element((0x0040, 0xA040), b"CS", b"CONTAINER ")
        inner.items = [[kind, Element(inner.tag, b"SQ", items=inner.items)]]
    (folder / "object").write_bytes(file.encoded())


def loop(folder: Path, image: str) -> None:
    """An SR whose references form a loop, and one that doubles the walk forty times; a mark beside them."""

    def reference(place: list[int]) -> Dataset:
        item = Dataset()
        item.RelationshipType, item.ReferencedContentItemIdentifier = "INFERRED FROM", place
        return item

    drawings = []
    for number in range(1, 41):
        item = scoord("POLYLINE", LONG_POINTS, image_item(image))
        following = [1, 1, 2, number % 40 + 1]
        item.ContentSequence.extend(
            [reference(following), reference(following), reference([1, 1, 2, number])]
        )
        drawings.append(item)
    groups = [bidirectional(image, LONG_POINTS, SHORT_POINTS), content("CONTAINER", GROUP, drawings)]
    save(sr_document(groups, name="loop"), folder / "object")


def million_points(folder: Path, image: str) -> None:
    """An SR of two outlines of a million points, a circle and a straight line; a GSPS polyline of as many."""
    angle = np.linspace(0, 2 * np.pi, 1_000_000)
    circle = np.c_[30 + 9 * np.cos(angle), 30 + 9 * np.sin(angle)].ravel()
    straight = np.c_[20 + angle, np.full(len(angle), 30.0)].ravel()
    groups = [group([num(LONG, 18, [scoord("POLYGON", p, image_item(image))])]) for p in (circle, straight)]
    graphic = line(circle[:8])
    graphic.GraphicData = circle.tolist()
    for ds in (sr_document(groups), gsps([annotation([image], [graphic])], [image])):
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian  # an explicit FL holds 64 kB
        save(ds, folder / ds.Modality)


def thousands_of_marks(folder: Path, image: str) -> None:
    """An SR of 2,000 groups."""
    one = bidirectional(image, LONG_POINTS, SHORT_POINTS)
    save(sr_document([one] * 2000, name="thousands"), folder / "object")


def thousands_of_lines(folder: Path, image: str) -> None:
    """A presentation state of 3,000 lines on one image, each across the middle of many others."""
    across = [line((20.5, y, 40.5, y)) for y in np.linspace(30, 31, 1500)]
    down = [line((x, 26.5, x, 34.5)) for x in np.linspace(30, 31, 1500)]
    save(gsps([annotation([image], [*across, *down])], [image]), folder / "object")


def coordinates(folder: Path, image: str) -> None:
    """An SR whose lines lie at NaN, at infinity, and further out than a float tells."""
    values = (float("nan"), float("inf"), float("-inf"), 3e38, -3e38)
    groups = [bidirectional(image, (v, 30, 40, 30), SHORT_POINTS) for v in values]
    save(sr_document(groups, name="coordinates"), folder / "object")


def deflated_bomb(folder: Path, image: str) -> None:
    """A deflated SR of less than 1 MB that unpacks to 640 MB."""
    file = parse(sr_document([bidirectional(image, LONG_POINTS, SHORT_POINTS)], name="deflated"))
    head = file.head.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    head = head.replace(b"UI\x14\x00" + b"1.2.840.10008.1.2.1.99", b"UI\x16\x00" + b"1.2.840.10008.1.2.1.99")
    length = struct.unpack_from("<I", head, 140)[0] + 2
    head = head[:140] + struct.pack("<I", length) + head[144:]
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    body = packer.compress(b"".join(e.encoded() for e in file.elements))
    body += packer.compress(struct.pack("<HH2sHI", 0x0070, 0xFF01, b"UN", 0, 40 << 24))
    body += b"".join(packer.compress(bytes(1 << 24)) for _ in range(40)) + packer.flush()
    (folder / "object").write_bytes(head + body)


def declared_pixels(folder: Path, image: str) -> None:
    """A CT of 40,000 × 40,000 pixels in a small file."""
    save(ct_slice(5000, series="declared", Rows=BOMB_PX, Columns=BOMB_PX), folder / "object")


def _compressed(folder: Path, syntax: str, frame: bytes, name: str, **changes: object) -> None:
    ds = ct_slice(0, series=f"bomb {name}", stored=np.zeros((64, 64), np.uint16), **changes)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    save(ds, folder / f"{name}-ct")
    mark = bidirectional(str(ds.SOPInstanceUID), LONG_POINTS, SHORT_POINTS)
    save(sr_document([mark], name=f"bomb {name}"), folder / f"{name}-sr")


def rle_bomb(folder: Path, image: str) -> None:
    """RLE: a header of 40,000 × 40,000; and one of 64 × 64 whose segments unpack to 128 MB."""
    run = struct.pack("<16I", 2, 64, 1064, *[0] * 13) + b"\x81\0" * 500 + b"\x81\0" * 500
    _compressed(folder, RLELossless, run, "declared", Rows=BOMB_PX, Columns=BOMB_PX)
    many = b"\x81\0" * 500_000
    _compressed(folder, RLELossless, struct.pack("<16I", 2, 64, 64 + len(many), *[0] * 13) + many * 2, "runs")


def jpeg2000_bomb(folder: Path, image: str) -> None:
    """JPEG 2000: a stream of 40,000 × 40,000 in a header of 64 × 64."""
    size = struct.pack(">HHIIIIIIIIH", 41, 0, BOMB_PX, BOMB_PX, 0, 0, BOMB_PX, BOMB_PX, 0, 0, 1) + b"\x0f\1\1"
    stream = b"\xff\x4f\xff\x51" + size + b"\xff\x52\0\x0c\0\0\0\1\0\5\4\4\0\1" + b"\xff\xd9"
    _compressed(folder, JPEG2000Lossless, stream, "stream")


def wrong_types(folder: Path, image: str) -> None:
    """An SR whose references are numbers, in a charset that there is not, with its content twice."""
    ds = sr_document(
        [bidirectional(image, LONG_POINTS, SHORT_POINTS), bidirectional(image, LONG_POINTS, SHORT_POINTS)],
        name="types",
    )
    ds.SpecificCharacterSet = "ISO_IR 100"
    file = parse(ds)
    for _, element in file.walk():
        if element.tag == (0x0008, 0x0005):
            element.value = b"ISO 2022 IR 999\\nonsense"
        if element.tag == (0x0008, 0x1155):
            element.vr = b"US"
    file.elements += [e for e in file.elements if e.tag in ((0x0010, 0x0020), (0x0040, 0xA730))]
    (folder / "object").write_bytes(file.encoded())


def sequence_of_text(folder: Path, image: str) -> None:
    """An SR whose content is text."""
    file = parse(sr_document([bidirectional(image, LONG_POINTS, SHORT_POINTS)], name="text"))
    for element in file.elements:
        if element.tag == (0x0040, 0xA730):
            element.vr, element.items, element.value = b"UT", None, b"no sequence "
    (folder / "object").write_bytes(file.encoded())
