"""Values that must not come through, planted in every place DICOM has, and the search for them."""

from __future__ import annotations

import base64
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pandas as pd
from pydicom import DataElement, Dataset
from pydicom.datadict import DicomDictionary
from pydicom.tag import Tag

WORD = "Zqvortex"  # begins every planted text: no vocabulary and no standard holds it
ROOT = "1.9.87654321."  # begins every planted UID
DATE, ISO_DATE = "19770523", "1977-05-23"
TIME = "130917.428571"

# VRs whose values are text of some kind, and a value for each
TEXTS = {
    "PN": f"{WORD}^Anna",
    "LO": f"{WORD} hospital",
    "SH": f"{WORD} 1",
    "LT": f"{WORD} came in on {DATE}",
    "ST": f"{WORD} lives in Street 1",
    "UT": f"{WORD} is well",
    "UC": f"{WORD}",
    "CS": WORD.upper(),
    "AE": WORD,
    "UR": f"http://{WORD}.example",
    "UI": ROOT + "1",
    "DA": DATE,
    "TM": TIME,
    "DT": f"{DATE}{TIME}+0130",
    "AS": "093Y",
    "UN": WORD.encode(),
    "OB": WORD.encode(),
}
# These hold the coding itself, not content; a text in them makes the object unreadable.
NOT_CONTENT = {"SpecificCharacterSet", "TransferSyntaxUID", "PixelData", "CodeMeaning"}


@cache
def attributes(vr: str) -> list[int]:
    """Return every attribute of PS3.6 with this VR, beside group 0002 (file meta information)."""
    return [
        tag
        for tag, (its_vr, _, _, _, keyword) in DicomDictionary.items()
        if its_vr == vr and keyword and keyword not in NOT_CONTENT and tag >> 16 not in (0x0000, 0x0002)
    ]


def plant(dataset: Dataset, vr: str) -> int:
    """Put the VR's value into every attribute of that VR; return how many there are."""
    tags = attributes(vr)
    for tag in tags:
        dataset[Tag(tag)] = DataElement(Tag(tag), vr, TEXTS[vr])
    return len(tags)


def everything_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every file, names of files and folders, and what lies packed inside them."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        yield f"name {name}", name.encode()
        if path.is_file():
            content = path.read_bytes()
            yield name, content
            yield from _unpacked(path, name, content)


def _unpacked(path: Path, name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    if content[:4] == b"PAR1":
        yield f"table {name}", pd.read_parquet(path).to_csv().encode()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                yield f"{name}/{member}", member.encode() + archive.read(member)
    elif content[:8] == b"\x89PNG\r\n\x1a\n":
        yield from ((f"png {name}", text) for text in _png_texts(content))
    for match in re.finditer(rb"base64,([A-Za-z0-9+/=]{16,})", content):
        inside = base64.b64decode(match[1])
        yield f"data URI in {name}", inside
        yield from ((f"png in {name}", text) for text in _png_texts(inside))


def _png_texts(content: bytes) -> Iterator[bytes]:
    """Yield the text chunks of a PNG, unpacked where they are packed."""
    place = 8
    while place + 8 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        chunk = content[place + 8 : place + 8 + length]
        if kind in (b"tEXt", b"iTXt", b"eXIf"):
            yield chunk
        elif kind == b"zTXt":
            yield zlib.decompress(chunk.partition(b"\0")[2][1:])
        place += 12 + length


def found(contents: Iterable[tuple[str, bytes]], wanted: Iterable[str]) -> dict[str, str]:
    """Return which of the wanted values stand in the contents, and where first.

    Dates and times count where they stand alone (eight digits of a hash are no date); all else counts
    anywhere, in any case.
    """
    words = {word.lower(): word for word in wanted if word}
    moments = {word for word in words if re.fullmatch(r"[\d.\-:]{1,13}", word)}
    by_start: dict[bytes, list[str]] = {}
    for word in words.keys() - moments:
        by_start.setdefault(word.encode()[:14], []).append(word)
    hits: dict[str, str] = {}
    for name, content in contents:
        lower = content.lower()
        for number in set(re.findall(rb"(?<![\d.])[\d.\-:]*\d", lower)):
            # a date may stand in front of a time, either at the end of a sentence
            for part in {number, number.strip(b".-:"), number[:8], number[:10]}:
                if part.decode() in moments:
                    hits.setdefault(words[part.decode()], name)
        for start, group in by_start.items():
            if start in lower:
                hits |= {words[w]: hits.get(words[w], name) for w in group if w.encode() in lower}
    return hits
