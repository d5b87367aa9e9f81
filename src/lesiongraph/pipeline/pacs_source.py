"""A PACS as a source of `mine`: which pixels are fetched, and what of the mirror is new to the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lesiongraph.imaging import PatchError, plan_context
from lesiongraph.lesion import KEPT
from lesiongraph.mining.pacs import (
    Arrival,
    AsItIs,
    Demand,
    Mirror,
    MirroredStudy,
    PacsAddress,
    PacsSettings,
    Wanted,
    open_pacs,
    pull,
)
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.recipe import ImagingRecipe
from lesiongraph.workspace import RunReport, Workspace

STEP_MM = 24.0
SLICES_WITHOUT_POSITIONS = 20  # ours: read evenly over a series whose slices have no place in mm
INCOMPLETE = "incomplete"  # key of the report's details: why sources could not be read to their end


@dataclass(frozen=True)
class PacsOptions:
    """How the PACS among the sources are read.

    Attributes
    ----------
    settings : PacsSettings
    arrival : Arrival
        What every object passes before it is written.
    step_mm : float
        Beside the slices that patches need, one slice is fetched every so many mm over a series with marks:
        SSBR draws its line through them.
    again_after_s : float
        Earliest time after which a PACS is searched again for what it could not give.
    """

    settings: PacsSettings = field(default_factory=PacsSettings)
    arrival: Arrival = field(default_factory=AsItIs)
    step_mm: float = STEP_MM
    again_after_s: float = 0.0


@dataclass
class MirroredSource:
    """A PACS whose mirror is up to date, and which of its studies the catalogue does not hold yet."""

    mirror: Mirror
    new: dict[str, int]  # name of a study -> version

    def patients(self) -> list[list[MirroredStudy]]:
        """Return the studies to mine, the studies of a patient together."""
        patients = self.mirror.by_patient().values()
        return [studies for studies in patients if any(study.name in self.new for study in studies)]

    def save_mined(self, patients: Iterable[Iterable[MirroredStudy]]) -> None:
        """Keep that the catalogue holds those of these studies that are of this mirror."""
        own = (s for studies in patients for s in studies if s.path == self.mirror.study_named(s.name).path)
        self.mirror.save_mined({s.name: self.new[s.name] for s in own if s.name in self.new})


def pull_source(
    workspace: Workspace,
    address: PacsAddress,
    options: PacsOptions,
    *,
    is_known: bool,
    roi_pattern: str | None,
    report: RunReport,
    progress: Progress = silent,
) -> MirroredSource:
    """Bring the mirror of a PACS up to date.

    `is_known` says whether the catalogue was mined from it before: if not, all of the mirror is new.

    Raises
    ------
    PacsUnreachableError, PacsRefusedError
        If the PACS gives nothing, and gave nothing before.
    """
    mirror = Mirror(workspace.path, address)
    wanted = slices_to_fetch(options.step_mm)
    name = f"a slice every {options.step_mm:g} mm"
    window, again_after_s = options.settings.window, options.again_after_s
    demand = Demand(window, options.arrival, wanted, name, roi_pattern, again_after_s)
    pacs = open_pacs(address, options.settings)
    try:
        pulled = pull(pacs, mirror, demand, progress)
    finally:
        pacs.close()
    report.counts.update(pulled.counts)
    if pulled.incomplete:
        report.details.setdefault(INCOMPLETE, []).append(pulled.incomplete)
        report.notes.append(f"not read to its end: {pulled.incomplete}")
    if not is_known:
        mirror.forget_mined()
    return MirroredSource(mirror, mirror.not_mined())


def whole_mirror(workspace: Workspace, address: PacsAddress) -> list[list[MirroredStudy]]:
    """Return all that was fetched of a PACS, without asking it anything."""
    return list(Mirror(workspace.path, address).by_patient().values())


def slices_to_fetch(step_mm: float, recipe: ImagingRecipe | None = None) -> Wanted:
    """Return the rule that names the slices of a series whose pixels are needed.

    They are those that the patch of each mark mixes (`imaging.plan_context`) and, for SSBR, one every
    `step_mm` from the head down and the last one. A rejected mark has its slices too, since a person may look
    at it and accept it; a series with rejected marks alone is not read for SSBR.
    """
    imaging = recipe or ImagingRecipe()

    def wanted(series: Mapping[str, object], slices: pd.DataFrame, marks: pd.DataFrame) -> Iterable[int]:
        chosen = set(_every(slices, step_mm)) if (marks.status == KEPT).any() else set()
        for key in marks.slice_index.unique():
            chosen |= set(_mixed(series, slices, int(key), imaging))
        return chosen

    return wanted


def _mixed(
    series: Mapping[str, object], slices: pd.DataFrame, key: int, imaging: ImagingRecipe
) -> Sequence[int]:
    interval_mm = float(str(series["slice_interval_mm"]))
    try:
        plan = plan_context(slices, key, interval_mm, imaging.context_slices, imaging.context_interval_mm)
    except PatchError:
        return ()
    return plan.slice_indices


def _every(slices: pd.DataFrame, step_mm: float) -> list[int]:
    """Return the first slice of every `step_mm`, and the last."""
    indices = slices.slice_index.to_numpy(int)
    positions = slices.position_mm.to_numpy(float)
    if not np.isfinite(positions).all():
        places = np.linspace(0, len(indices) - 1, min(len(indices), SLICES_WITHOUT_POSITIONS))
        return [int(i) for i in indices[np.unique(places.round().astype(int))]]
    chosen = np.diff(np.floor((positions - positions[0]) / step_mm), prepend=-1.0) != 0
    chosen[-1] = True
    return [int(i) for i in indices[chosen]]
