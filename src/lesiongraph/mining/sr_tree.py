"""The content tree of an SR document, walked leniently (PS3.3 C.17.3).

Vendors differ in relationship types, so items are found by value type and concept, wherever they hang.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from pydicom import Dataset
from pydicom.sr.coding import Code

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.coded import code_of

TARGET_ITEMS_MAX = 32  # ours: a drawing holds the images it was selected from, and nothing else


@dataclass(eq=False)
class Item:
    """One content item: `place` is its content item identifier ("1.4.2"), the root is "1"."""

    dataset: Dataset
    place: str
    parent: Item | None = None
    children: list[Item] = field(default_factory=list)

    @cached_property
    def value_type(self) -> str:
        """CONTAINER, NUM, SCOORD, IMAGE, CODE, TEXT, UIDREF …"""
        return values.text(self.dataset, "ValueType")

    @cached_property
    def concept(self) -> Code:
        """The concept name; an empty code where there is none."""
        return code_of(self.dataset, "ConceptNameCodeSequence")

    @cached_property
    def code(self) -> Code:
        """The value of a CODE item; an empty code where there is none."""
        return code_of(self.dataset, "ConceptCodeSequence")

    def descendants(self) -> Iterator[Item]:
        """Give all items below, depth first, in the order of the document."""
        for child in self.children:
            yield child
            yield from child.descendants()

    def ancestors(self) -> Iterator[Item]:
        """Give the items that hold this one, the nearest first, the root last."""
        item = self.parent
        while item is not None:
            yield item
            item = item.parent

    def measured(self) -> tuple[float, str]:
        """Return the value of a NUM item and its unit (UCUM code); NaN and "" where there is none."""
        for entry in self.dataset.get("MeasuredValueSequence") or []:
            return values.number(entry, "NumericValue"), code_of(entry, "MeasurementUnitsCodeSequence").value
        return math.nan, ""

    def within(self, *stops: Code) -> Iterator[Item]:
        """Give all items below, but nothing of containers named as one of `stops`."""
        for child in self.children:
            if child.value_type == "CONTAINER" and child.concept in stops:
                continue
            yield child
            yield from child.within(*stops)


def read_tree(dataset: Dataset) -> Item:
    """Return the document's root; by-reference children are put where they are referred to."""
    root = _item(dataset, "1", None)
    by_place = {item.place: item for item in [root, *root.descendants()]}
    # What refers only to images may be referred to itself; beyond that walks could be endless, or double at
    # each step. Images come first, so that all that is appended has been looked at.
    for wanted in (("IMAGE",), ("SCOORD", "SCOORD3D")):
        followed: list[tuple[Item, Item]] = []
        for item in by_place.values():
            target = by_place.get(_referred(item))
            is_leaf = item.parent is not None and not item.children
            if target is not None and is_leaf and target.value_type in wanted and _is_small(target):
                followed.append((item, target))
        for item, target in followed:
            if item.parent is not None:
                item.parent.children.append(target)
                item.dataset = Dataset()  # followed: no reference any more
    return root


def _referred(item: Item) -> str:
    """Return the place of the item that a by-reference item stands for; "" where it is none."""
    reference = item.dataset.get("ReferencedContentItemIdentifier")
    if reference is None:
        return ""
    numbers = [reference] if isinstance(reference, int) else list(reference)
    return ".".join(str(number) for number in numbers)


def _is_small(target: Item) -> bool:
    """Whether a target holds a few items, and none that is still a reference."""
    below = list(islice(target.descendants(), TARGET_ITEMS_MAX + 1))
    return len(below) <= TARGET_ITEMS_MAX and not any(_referred(item) for item in below)


def _item(dataset: Dataset, place: str, parent: Item | None) -> Item:
    item = Item(dataset, place, parent)
    for number, child in enumerate(dataset.get("ContentSequence") or [], 1):
        item.children.append(_item(child, f"{place}.{number}", item))
    return item
