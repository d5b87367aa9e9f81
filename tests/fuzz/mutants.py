"""Valid documents → broken ones: elements dropped, doubled, retyped, refilled, nested; bytes flipped, cut."""

from __future__ import annotations

import copy
import os
import struct

from dicom_tree import UNDEFINED, Element, File
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("LESIONGRAPH_FUZZ_CASES", "0"))


def fuzz(cases: int) -> settings:
    """Return the settings: a fixed number of the same cases, or as many random ones as the user asks for."""
    return settings(
        max_examples=CASES or cases,
        derandomize=not CASES,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


VRS = (b"AE AS AT CS DA DS DT FD FL IS LO LT OB OF OW PN SH SL SQ SS ST TM UC UI UL UN US UT ZZ").split(b" ")
_FLOATS = [0.0, -1.0, 0.5, 1.0, 7.25, 1e6, 3.4e38, -3.4e38, float("nan"), float("inf"), float("-inf")]
_TEXTS = [
    b"", b"\0\0", b" ", b"NaN ", b"inf ", b"-1", b"0", b"1e400 ", b"999999999999999999999999", b"1\\2\\3 ",
    b"\\\\\\\\", b"../../etc/passwd", b"\xff\xfe\xfd\xfc", b"\x1b$B\x1b(B", b"=1+1", b"<script>x</script>",
    b"POLYLINE", b"POLYGON ", b"CIRCLE", b"ELLIPSE ", b"POINT ", b"MULTIPOINT", b"CONTAINER ", b"NUM ",
    b"SCOORD", b"SCOORD3D", b"IMAGE ", b"DISPLAY ", b"MATRIX", b"PR", b"SR", b"SEG ", b"RTSTRUCT", b"CT",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(_TEXTS),
    st.lists(st.sampled_from(_FLOATS), max_size=10).map(lambda v: struct.pack(f"<{len(v)}f", *v)),
    st.lists(st.integers(0, 2**32 - 1), max_size=4).map(lambda v: struct.pack(f"<{len(v)}I", *v)),
    st.binary(max_size=24).map(lambda b: b + b"\0" * (len(b) % 2)),
)
LENGTHS = st.sampled_from([0, 1, 3, 8, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFE, UNDEFINED])
_PLACE = st.integers(0, 2**16)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["drop", "double", "empty", "wrap", "move"]), _PLACE, _PLACE),
        st.tuples(st.just("retype"), _PLACE, st.sampled_from(VRS)),
        st.tuples(st.just("refill"), _PLACE, VALUES),
        st.tuples(st.just("length"), _PLACE, LENGTHS),
        st.tuples(st.just("nest"), _PLACE, st.integers(1, 60)),
    ),
    min_size=1,
    max_size=5,
)
FLIPS = st.tuples(
    st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=8),
    st.one_of(st.none(), st.integers(0, 2**20)),
)


def mutated(file: File, changes: list[tuple]) -> bytes:
    """Return the file's bytes after these changes."""
    file = copy.deepcopy(file)
    for kind, place, how in changes:
        everywhere = file.walk()
        if not everywhere:
            break
        holder, element = everywhere[place % len(everywhere)]
        _change(file, holder, element, kind, how)
    return file.encoded()


def _change(file: File, holder: list[Element], element: Element, kind: str, how) -> None:
    at = next(i for i, other in enumerate(holder) if other is element)
    if kind == "drop":
        del holder[at]
    elif kind == "double":
        _double(holder, element, at, how)
    elif kind == "empty":
        element.value, element.items = b"", None if element.items is None else []
    elif kind == "wrap":  # a sequence's item becomes the only content of an item of its own
        element.items = [[copy.deepcopy(element)]] if element.items is not None else None
    elif kind == "move":
        everywhere = file.walk()
        target, _ = everywhere[how % len(everywhere)]
        target.append(copy.deepcopy(element))
    elif kind == "retype":
        if element.items is not None and how != b"SQ":
            element.value, element.items = element.encoded()[12:], None
        element.vr = how
    elif kind == "refill":
        element.value, element.items = how, None
    elif kind == "length":
        element.length = how
    elif kind == "nest":
        for _ in range(how):
            element = Element((0x0040, 0xA730), b"SQ", items=[[element]])
        holder[at] = element


def _double(holder: list[Element], element: Element, at: int, how: int) -> None:
    if element.items and how % 2:
        element.items *= 1 + how % 4
    else:
        holder.insert(at, copy.deepcopy(element))


def flipped(data: bytes, how: tuple[list[tuple[int, int]], int | None]) -> bytes:
    """Return the bytes with some replaced, and cut."""
    flips, cut = how
    changed = bytearray(data)
    for place, value in flips:
        changed[place % len(changed)] = value
    return bytes(changed if cut is None else changed[: cut % len(changed)])
