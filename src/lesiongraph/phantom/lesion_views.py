"""Single lesions of many bodies, each on the three slices a patch is cut from: what embedders are trained on.

A hospital shows the same few hundred lesions again and again, in scans that are mostly background. Here every
body is new, and only the slices round a lesion are rendered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lesiongraph.lesion import LESION_TYPES, RecistMark
from lesiongraph.phantom.anatomy import Anatomy, sample_anatomy
from lesiongraph.phantom.belonging import belongs
from lesiongraph.phantom.difficulty import PLAIN, Difficulty
from lesiongraph.phantom.lesions import PhantomLesion, place_lesion
from lesiongraph.phantom.population import GROWTH_RANGE, draw_long_axis_mm
from lesiongraph.phantom.radiologist import Section, draw_mark, largest_section
from lesiongraph.phantom.render import render
from lesiongraph.phantom.scan import ScanPlan, sample_scan

_CONTEXT_MM = 2.0  # Sec. 3: "2 mm slice intervals"
_ZOOMED_SHARE = 0.25
_LOG_GROWTH_SD = 0.2  # a few months of `population.GROWTH_PER_MONTH`


@dataclass(frozen=True)
class LesionView:
    """One lesion as it would be marked.

    Attributes
    ----------
    hu : (3, rows, columns) int16
        Canonical view, head to foot, 2 mm apart; the lesion is marked on the middle one.
    pixel_mm : float
    mark : RecistMark
        Array coordinates of the middle slice (px).
    type : str
        One of LESION_TYPES.
    body : int
        Lesions of one body share it.
    lesion : int
        Number within its body, from 1: views of one lesion share body and lesion.
    visit : int
        From 0.
    """

    hu: npt.NDArray[np.int16]
    pixel_mm: float
    mark: RecistMark
    type: str
    body: int
    lesion: int
    visit: int


def sample_lesion_views(
    bodies: int,
    rng_seed: int,
    *,
    types: Sequence[str] = LESION_TYPES,
    rows: int = 256,
    difficulty: Difficulty = PLAIN,
    visits: int = 1,
    of_type: int = 1,
    first_body: int = 0,
) -> Iterator[LesionView]:
    """Yield a lesion of each type of every body; what cannot be seen or placed is left out.

    Parameters
    ----------
    bodies : int
    rng_seed : int
        Body i of a seed is the same however many there are.
    types : sequence of str
        Some of LESION_TYPES.
    rows : int
        Image rows and columns (px).
    difficulty : Difficulty
        How much bodies and poses differ.
    visits : int
        Scans of each lesion: another pose, machine, slice and reader each, the lesion a little larger or
        smaller. The first is the same however many there are.
    of_type : int
        Lesions of each type a body; the later ones often look like the first, as metastases do. The first
        are the same however many there are.
    first_body : int
        Bodies `first_body` … `first_body` + `bodies` − 1 of the seed are shown.
    """
    for body in range(first_body, first_body + bodies):
        rng = np.random.default_rng([rng_seed, body])
        anatomy = sample_anatomy(rng, spread=difficulty.anatomy_spread, node_spread=difficulty.node_spread)
        firsts: dict[str, PhantomLesion] = {}
        for number, lesion_type in enumerate(list(types) * of_type, start=1):
            lesion = _placed(anatomy, lesion_type, number, rng, difficulty)
            kin = firsts.setdefault(lesion_type, lesion)
            if kin is not lesion and rng.random() < difficulty.kinship:
                lesion = lesion.resembling(kin, rng)
            for visit in range(visits):
                by = rng if visit == 0 else np.random.default_rng([rng_seed, body, number, visit])
                seen = lesion if visit == 0 else lesion.scaled(_growth(by), by)
                plan = sample_scan(anatomy, by, rows=rows, difficulty=difficulty)
                shown = _shown(anatomy, seen, by, plan)
                if shown is not None:
                    hu, pixel_mm, mark = shown
                    yield LesionView(hu, pixel_mm, mark, lesion_type, body, number, visit)


def _growth(rng: np.random.Generator) -> float:
    """Draw a lesion's size at a later visit, relative to the first."""
    return float(np.clip(np.exp(rng.normal(0, _LOG_GROWTH_SD)), *GROWTH_RANGE))


def _placed(
    anatomy: Anatomy, lesion_type: str, number: int, rng: np.random.Generator, difficulty: Difficulty
) -> PhantomLesion:
    """Place a lesion; where the difficulty asks for it, one that a radiologist would call by its type."""
    long_axis_mm = draw_long_axis_mm(lesion_type, rng)
    for _ in range(difficulty.placement_tries):
        lesion = place_lesion(anatomy, lesion_type, long_axis_mm, number, rng)
        if not difficulty.own_places or belongs(anatomy, lesion):
            break
    return lesion


def _shown(
    anatomy: Anatomy, lesion: PhantomLesion, rng: np.random.Generator, plan: ScanPlan
) -> tuple[npt.NDArray[np.int16], float, RecistMark] | None:
    """Render three slices through a lesion and mark it; None where it does not show."""
    plan = _three_slices(plan, lesion, rng)
    series = render(anatomy, [lesion], plan, rng)
    section = _middle_section(series.lesion_masks.get(lesion.identity))
    if section is None or len(series.hu) != 3:
        return None
    return series.hu, plan.pixel_mm, draw_mark(section, rng)


def _three_slices(plan: ScanPlan, lesion: PhantomLesion, rng: np.random.Generator) -> ScanPlan:
    """Plan three slices through the lesion's middle, sometimes zoomed in on a part of the body round it."""
    off_mm = float(rng.uniform(-0.3, 0.3)) * lesion.radii_mm[2]
    # a breath moves soft organs only: the slice follows the lesion
    top = lesion.centre_mm[2] + off_mm - _CONTEXT_MM
    plan = replace(
        plan, top_mm=top, bottom_mm=top + 2 * _CONTEXT_MM + 0.01, slice_interval_mm=_CONTEXT_MM, breath_mm=0.0
    )
    if rng.random() < _ZOOMED_SHARE:
        zoom = float(rng.uniform(0.5, 0.9))
        x, y, _ = lesion.centre_mm
        plan = replace(
            plan,
            pixel_mm=plan.pixel_mm * zoom,
            centre_x_mm=zoom * plan.centre_x_mm + (1 - zoom) * x,
            centre_y_mm=zoom * plan.centre_y_mm + (1 - zoom) * y,
        )
    return plan


def _middle_section(
    lesion_mask: tuple[tuple[int, int, int], npt.NDArray[np.bool_]] | None,
) -> Section | None:
    """The lesion's section on the middle of the three slices, or None where it does not show there."""
    if lesion_mask is None:
        return None
    (first, row, column), block = lesion_mask
    if not first <= 1 < first + len(block):
        return None
    return largest_section(((1, row, column), block[1 - first : 2 - first]))
