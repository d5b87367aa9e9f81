"""z → where that is: the nearest landmark, the region, DICOM's term for what a series shows.

The table holds for one set of weights (named by sha256) and for models aligned to it (`alignment.py`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.bodypart.body_tags import REGIONS, term_of
from lesiongraph.bodypart.model import PACKAGED, SsbrModel
from lesiongraph.bodypart.uncertainty import ZError
from lesiongraph.errors import WeightsError

KIND = "lesiongraph-atlas"
FORMAT = 1
PACKAGED_ATLAS = PACKAGED.removesuffix(".safetensors") + ".atlas.json"
ALIGNED_TO = "aligned_to"  # entries of a model's notes
ALIGNMENT_SD = "alignment_residual_z"
_SEEN_SHARE = 0.5
_FEW_REAL = 3  # below so many patients the phantoms' many say more
_MARGIN_MM = 50.0  # the outermost landmarks are known that far around


@dataclass(frozen=True)
class Landmark:
    """Where a landmark lies: mean z over `n` patients and its standard deviation between them."""

    name: str
    z: float
    sd: float
    n: int
    source: Literal["phantom", "real"]


@dataclass(frozen=True)
class Region:
    """A part of the body from z_from (inclusive) to z_to."""

    name: str
    z_from: float
    z_to: float


@dataclass(frozen=True)
class NearLandmark:
    """The landmark nearest to a z; `distance_z` and `distance_mm` (about) grow towards the feet."""

    name: str
    distance_z: float
    distance_mm: float

    def __str__(self) -> str:
        if abs(self.distance_mm) < 5:
            return self.name
        side = "below" if self.distance_mm > 0 else "above"
        return f"{abs(self.distance_mm) / 10:.0f} cm {side} {self.name}"


@dataclass(frozen=True)
class Atlas:
    """What z means for one set of weights.

    Attributes
    ----------
    model_name, model_sha256 : str
        The weights it was built with.
    landmarks : tuple of Landmark
        Real and phantom rows apart; `table` gives one row a name.
    regions : tuple of Region
        Head to thigh, without gaps, from 0 to 1.
    z_per_mm : float
        Typical rise of z a mm along the body.
    z_error : ZError
    rules : dict of str to str
        "chest|abdomen" → the landmark that draws the border.
    alignment_sd : float
        What aligning another model's z to this one's left over, in z; 0 for the model itself.
    """

    model_name: str
    model_sha256: str
    landmarks: tuple[Landmark, ...]
    regions: tuple[Region, ...]
    z_per_mm: float
    z_error: ZError
    rules: dict[str, str] = field(default_factory=dict)
    alignment_sd: float = 0.0

    def __post_init__(self) -> None:
        borders = [0.0, *(region.z_to for region in self.regions)]
        starts = [region.z_from for region in self.regions]
        named = tuple(region.name for region in self.regions) == REGIONS
        if not named or starts != borders[:-1] or np.any(np.diff(borders) <= 0) or borders[-1] != 1.0:
            raise ValueError(f"atlas: expected {', '.join(REGIONS)} from 0 to 1 without gaps: {self.regions}")
        if not self.landmarks or not self.z_per_mm > 0:
            raise ValueError("atlas: expected landmarks and a rise of z a mm above 0")

    @classmethod
    def load(cls, path: Path | None = None) -> Atlas:
        """Read an atlas; None reads the packaged one.

        Raises
        ------
        WeightsError
            If the file is absent, damaged or of another format.
        """
        packaged = resources.files("lesiongraph.bodypart") / "weights" / PACKAGED_ATLAS
        expected = f"a JSON of kind {KIND}, format {FORMAT}"
        step = "Build it: `python tools/build_atlas.py --data DATA`."
        try:
            return cls.from_dict(json.loads((packaged if path is None else path).read_text()))
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise WeightsError(str(path or packaged), expected, str(cause), step) from cause

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Atlas:
        """Return the atlas that `as_dict` described.

        Raises
        ------
        ValueError, KeyError, TypeError
            If it is none.
        """
        if (stored["kind"], stored["format"]) != (KIND, FORMAT):
            raise ValueError(f"kind {stored['kind']}, format {stored['format']}")
        plain = ("model_name", "model_sha256", "z_per_mm", "rules", "alignment_sd")
        return cls(
            landmarks=tuple(Landmark(**row) for row in stored["landmarks"]),
            regions=tuple(Region(**row) for row in stored["regions"]),
            z_error=ZError(**stored["z_error"]),
            **{key: stored[key] for key in plain},
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as `save` writes them."""
        return {"kind": KIND, "format": FORMAT, **asdict(self)}

    def save(self, path: Path) -> None:
        """Write the atlas as JSON."""
        path.write_text(json.dumps(self.as_dict(), indent=2) + "\n")

    def for_model(self, model: SsbrModel) -> Atlas:
        """Return the atlas for a model: itself for its own weights, less sure for an aligned model.

        Raises
        ------
        WeightsError
            If the atlas was built with other weights: its z would mean other places.
        """
        if model.sha256 == self.model_sha256:
            return self
        if model.notes.get(ALIGNED_TO) == self.model_sha256:
            return replace(self, alignment_sd=float(model.notes[ALIGNMENT_SD]))
        raise WeightsError(
            f"atlas of {self.model_name} (sha256 {self.model_sha256[:12]})",
            "the weights it was built with, or a model that `locate --fit` aligned to them",
            f"{model.name} (sha256 {model.sha256[:12]})",
            "Build an atlas for these weights: `python tools/build_atlas.py --data DATA --weights FILE`.",
        )

    @property
    def table(self) -> tuple[Landmark, ...]:
        """One row a name, head to foot: real of three patients or more, else the phantoms', else real."""
        best: dict[str, Landmark] = {}
        for row in sorted(self.landmarks, key=_rank):
            best.setdefault(row.name, row)
        return tuple(sorted(best.values(), key=lambda row: row.z))

    @property
    def range(self) -> tuple[float, float]:
        """The z that the atlas knows: from the head's border to 5 cm below the lowest landmark."""
        lowest = max(row.z for row in self.landmarks) + _MARGIN_MM * self.z_per_mm
        return self.regions[0].z_to, min(lowest, 1.0)

    def in_range(self, z: ArrayLike) -> NDArray[np.bool_]:
        """Tell which z (n,) lie where the atlas knows the body."""
        values = np.asarray(z, dtype=np.float64)
        return np.asarray((values >= self.range[0]) & (values <= self.range[1]))

    def region(self, z: float) -> str:
        """Return the region's name, "" where z is not a number."""
        if not np.isfinite(z):
            return ""
        return next((region.name for region in self.regions if z < region.z_to), self.regions[-1].name)

    def nearest_landmark(self, z: float) -> NearLandmark | None:
        """Return the nearest landmark, None where z is not a number."""
        if not np.isfinite(z):
            return None
        nearest = min(self.table, key=lambda row: abs(row.z - z))
        return NearLandmark(nearest.name, z - nearest.z, (z - nearest.z) / self.z_per_mm)

    def regions_between(self, z_low: float, z_high: float) -> tuple[str, ...]:
        """Return the regions that a series from z_low to z_high shows, head to foot.

        A region counts where the series covers at least half of it, or where it makes up at least half of the
        series. Head and thigh have no further border here; of them, half a metre counts as the whole.
        """
        if not (np.isfinite(z_low) and np.isfinite(z_high)) or z_high < z_low:
            return ()
        if z_high == z_low:
            return (self.region(z_low),)
        shown = []
        for region in self.regions:
            overlap = min(z_high, region.z_to) - max(z_low, region.z_from)
            whole = region.z_to - region.z_from
            if region.name in (REGIONS[0], REGIONS[-1]):
                whole = 500.0 * self.z_per_mm
            if overlap > 0 and overlap >= _SEEN_SHARE * min(whole, z_high - z_low):
                shown.append(region.name)
        return tuple(shown)

    def body_part_examined(self, z_low: float, z_high: float) -> str:
        """Return DICOM's term for what a series from z_low to z_high shows (PS3.16 Annex L); "" if none."""
        return term_of(self.regions_between(z_low, z_high))

    def three_class(self, z: ArrayLike) -> NDArray[np.str_]:
        """Return chest, abdomen or pelvis for each z (n,): two thresholds (paper, Sec. 4.1); "" for NaN."""
        borders = [self.regions[i].z_to for i in (2, 3)]
        values = np.asarray(z, dtype=np.float64)
        named = np.array(("chest", "abdomen", "pelvis"))[np.searchsorted(borders, values, side="right")]
        return np.where(np.isnan(values), "", named)

    def z_sd(self, span_mm: ArrayLike = 0.0, residual_z: ArrayLike = np.nan) -> NDArray[np.float64]:
        """Return the expected error of z, with what an alignment left over."""
        return np.hypot(self.z_error.sd(span_mm, residual_z), self.alignment_sd)

    def disagreements(self) -> list[tuple[Landmark, Landmark]]:
        """Return (phantom, real) rows of one name that differ by more than their standard errors allow.

        They differ where the means are over 0.02 of z apart and over twice the standard error of their
        difference; a row of one patient has no spread of its own and takes the other's.
        """
        real = {row.name: row for row in self.landmarks if row.source == "real"}
        pairs = [
            (row, real[row.name]) for row in self.landmarks if row.source == "phantom" and row.name in real
        ]
        return [(a, b) for a, b in pairs if abs(a.z - b.z) > max(0.02, 2 * _error_between(a, b))]


def _rank(row: Landmark) -> int:
    """Which row of a name to believe, the lowest first: real of enough patients, phantom, real of few."""
    if row.source == "phantom":
        return 1
    return 0 if row.n >= _FEW_REAL else 2


def _error_between(a: Landmark, b: Landmark) -> float:
    spread_a = a.sd if a.n > 1 else b.sd
    spread_b = b.sd if b.n > 1 else a.sd
    return float(np.hypot(spread_a / np.sqrt(a.n), spread_b / np.sqrt(b.n)))
