"""What happens to a DICOM object on its way from a source into a workspace: kept, or de-identified.

A source hands every data set it fetches through one `Arrival` before anything of it is written, and asks
the same `Arrival` under which UID an object is known here. So neither files, names of files, cursors nor
logs hold an identifier that the arrival takes away.
"""

from __future__ import annotations

from typing import Protocol

from pydicom import Dataset


class Arrival(Protocol):
    """Admits data sets into a workspace."""

    def admit(self, dataset: Dataset) -> Dataset:
        """Return the data set as the workspace may hold it; the one given is not used again.

        Only headers and content: a data set without pixels is admitted like one with them.
        """
        ...

    def uid(self, original: str) -> str:
        """Return the UID under which the workspace knows the source's `original`, always the same."""
        ...


class AsItIs:
    """Admits every data set unchanged: the workspace stays inside the hospital."""

    def admit(self, dataset: Dataset) -> Dataset:
        """Return `dataset`."""
        return dataset

    def uid(self, original: str) -> str:
        """Return `original`."""
        return original
