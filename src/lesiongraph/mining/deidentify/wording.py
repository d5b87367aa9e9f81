"""Free text → what of it may stay: measurements, and words of the vocabulary.

Two strengths. `sentence` keeps a text whole or not at all: a report's text that holds one unknown word may
be about anything. `descriptor` keeps the known words of a short label and drops the others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import pairwise

from lesiongraph.mining.deidentify.vocabulary import BARE_KERNEL, KERNEL, WORDS

_LONGEST = 1024  # a label or measurement is short; a text beyond this is not read word by word
_MAKES_UP = 3  # ours: "livertumor" is made of known words of at least this many letters
_UNIT = r"(?:mm|cm|ml|kv|kvp|hu|ma|mas|%|deg|s|x)"
_PLAIN = str.maketrans("×–²³", "x-23")  # what is kept is written as ASCII, without a character set
_TOKEN = re.compile(
    r"(?P<tool>cornerstone(?:tools|3dtools)?@\^?\d{1,2}(?:\.\d{1,3}){0,2}:)"
    rf"|(?P<kernel>(?<![A-Za-z\d])(?:{KERNEL.pattern})(?![A-Za-z\d]))"
    rf"|(?P<measure>(?<![\d.])\d{{1,3}}(?:\.\d{{1,3}})?(?=\s?{_UNIT}2?3?(?![a-z])|\s?[x*]\s?\d)"
    r"|(?<=[x*])\d{1,3}(?:\.\d{1,3})?(?![\d.])|(?<=[x*]\s)\d{1,3}(?:\.\d{1,3})?(?![\d.]))"
    r"|(?P<number>\d[\d.,]*)"
    r"|(?P<word>[^\W\d_]+)"
    r"|(?P<mark>[ \t\r\n\f_.,:;()/+\-*&<>=%#^@\[\]]+)"
    r"|(?P<other>.)",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
_BARE = re.compile(r"0{0,4}\d{1,2}(?:\.\d{1,3})?[.,]?")
_MOST_BARE = 3  # ours: more numbers without unit than this may be a telephone number or an identifier
_MOST_LETTERS = 3  # ours: more single letters than this may spell a name

Piece = tuple[str, bool, str]  # text, whether it may stay, kind


def sentence(text: str, names: Collection[str] = ()) -> str:
    """Return a text that is harmless as a whole, else "".

    Parameters
    ----------
    text : str
        One value, as it stands in the object.
    names : collection of str
        Words in lower case that do not stay even where the vocabulary holds them.
    """
    text = text.translate(_PLAIN)
    pieces = _pieces(text, names)
    return text.strip() if all(stays for _, stays, _ in pieces) else ""


def descriptor(text: str, names: Collection[str] = ()) -> str:
    """Return the harmless words of a label, in their order, "" where there is none."""
    text = text.translate(_PLAIN)
    pieces = _pieces(text, names)
    if all(stays for _, stays, _ in pieces):
        return text.strip()
    # Beside something unknown a bare number may belong to it: a bed, a day, a part of an identifier.
    kept = "".join(piece if stays and kind != "number" else " " for piece, stays, kind in pieces)
    tidy = re.sub(r"(?<![^\W_])[_/,;:@#^&]+(?![^\W_])|\(\s*\)", " ", kept)
    return " ".join(tidy.split()) if re.search(r"[^\W_]", tidy) else ""


def kernel(text: str) -> str:
    """Return a convolution kernel's name, "" where it is none that a maker uses."""
    words = re.split(r"[\s\\/]+", text.strip())
    known = all(_is_kernel(word) for word in words if word)
    return text.strip() if known else ""


def _is_kernel(word: str) -> bool:
    named = KERNEL.fullmatch(word) or BARE_KERNEL.fullmatch(word) or re.fullmatch(r"\d", word)
    return named is not None or _is_known(word)


def words_of(text: str) -> set[str]:
    """Return the words of a name, in lower case; single letters are no name."""
    return {word for word in re.findall(r"[^\W\d_]+", text.lower()) if len(word) > 1}


def _pieces(text: str, names: Collection[str]) -> list[Piece]:
    if len(text) > _LONGEST:
        return [(text, False, "other")]
    pieces = list(_judged(text, names))
    numbers = [i for i, piece in enumerate(pieces) if piece[2] == "number"]
    adjacent = any(later - earlier == 2 for earlier, later in pairwise(numbers))
    if adjacent or len(numbers) > _MOST_BARE:
        pieces = [(piece, stays and kind != "number", kind) for piece, stays, kind in pieces]
    if sum(kind == "word" and len(piece) == 1 for piece, _, kind in pieces) > _MOST_LETTERS:
        pieces = [(piece, stays and len(piece) > 1, kind) for piece, stays, kind in pieces]
    return pieces


def _judged(text: str, names: Collection[str]) -> Iterator[Piece]:
    for match in _TOKEN.finditer(text):
        piece, kind = match[0], str(match.lastgroup)
        if kind == "number":
            stays = _BARE.fullmatch(piece) is not None
        elif kind == "word":
            stays = _is_known(piece) and not _names(piece, names)
        elif kind == "kernel":
            stays = KERNEL.fullmatch(piece) is not None or _is_known(piece)
        else:
            stays = kind in ("tool", "measure", "mark")
        yield piece, stays, kind


def _names(word: str, names: Collection[str]) -> bool:
    lower = word.lower()
    return lower in names or any(len(name) > 2 and name in lower for name in names)


@lru_cache(maxsize=4096)
def _is_known(word: str) -> bool:
    """Whether a word is in the vocabulary, or made up of words that are ("LungMass", "livertumor")."""
    lower = word.lower()
    if lower in WORDS:
        return True
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", word)
    if len(parts) > 1 and "".join(parts) == word and all(_is_made_up(part.lower()) for part in parts):
        return True
    return _is_made_up(lower)


@lru_cache(maxsize=4096)
def _is_made_up(lower: str) -> bool:
    if lower in WORDS:
        return True
    return any(
        lower[:cut] in WORDS and _is_made_up(lower[cut:])
        for cut in range(_MAKES_UP, len(lower) - _MAKES_UP + 1)
    )
