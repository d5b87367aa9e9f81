"""Objects with marks, broken in a fixed number of ways: mining never raises and drops no mark.

`LESIONGRAPH_FUZZ_CASES=20000 pytest tests/fuzz` runs that many new cases a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicom_tree import File, parse
from documents import fractional, labelmap, report, segmentation, state, structures, write_images
from hypothesis import given
from invariants import check
from mutants import CHANGES, FLIPS, flipped, fuzz, mutated
from pydicom import Dataset

from lesiongraph.mining.dicom_folder import mine_dicom
from lesiongraph.mining.dicom_values import lenient_reading
from lesiongraph.mining.result import MiningResult

MAKERS = {
    "SR": report,
    "PR": state,
    "RTSTRUCT": structures,
    "SEG": segmentation,
    "SEG labels": labelmap,
    "SEG fractions": fractional,
}
KEPT = {"SR": 2, "PR": 2, "RTSTRUCT": 2, "SEG": 2, "SEG labels": 2, "SEG fractions": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def trees(folder: Path) -> dict[str, File]:
    uids = write_images(folder)
    return {kind: parse(make(uids)) for kind, make in MAKERS.items()}


def mine(folder: Path, data: bytes) -> MiningResult:
    (folder / "object").write_bytes(data)
    found = mine_dicom([folder])
    check(found.lesions)
    return found


def check_nothing_lost(found: MiningResult, data: bytes) -> None:
    """Fail where an object read as SR or PR has fewer rows than groups, or than lines and other graphics."""
    rows = found.lesions
    if found.counts["SR"] + found.counts["PR"] == 0 or rows.reason.str.startswith("unreadable object").any():
        return
    with lenient_reading():
        ds = pydicom.dcmread(BytesIO(data), force=True)
        if found.counts["SR"]:
            assert len(rows) >= sum(1 for _ in groups(ds))
        else:
            annotations = value(ds, "GraphicAnnotationSequence") or []
            drawn = sum(len(value(one, "GraphicObjectSequence") or []) for one in annotations)
            assert (1 + rows.source_item.str.contains("+", regex=False)).sum() >= drawn


def groups(ds: Dataset) -> Iterator[Dataset]:
    for item in value(ds, "ContentSequence") or []:
        concept = value(item, "ConceptNameCodeSequence")
        is_group = concept and str(value(concept[0], "CodeValue")).strip(" \0") == "125007"
        if is_group and str(value(item, "ValueType")).strip(" \0") == "CONTAINER":
            yield item
        yield from groups(item)


def value(ds: Dataset, keyword: str) -> Any:
    """Return an attribute, None where it is absent or damaged."""
    try:
        return ds.get(keyword)
    except Exception:  # pydicom raises many kinds
        return None


@pytest.mark.parametrize("kind", MAKERS)
def test_the_valid_document_gives_its_marks(folder, trees, kind):
    found = mine(folder, trees[kind].encoded())
    assert (found.lesions.status == "kept").sum() == KEPT[kind]
    check_nothing_lost(found, trees[kind].encoded())


@pytest.mark.parametrize("kind", MAKERS)
@fuzz(150)
@given(changes=CHANGES)
def test_broken_structure(folder, trees, kind, changes):
    data = mutated(trees[kind], changes)
    check_nothing_lost(mine(folder, data), data)


@pytest.mark.parametrize("kind", MAKERS)
@fuzz(100)
@given(how=FLIPS)
def test_broken_bytes(folder, trees, kind, how):
    mine(folder, flipped(trees[kind].encoded(), how))
