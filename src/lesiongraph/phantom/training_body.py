"""Bodies that training volumes show: a wider range of builds than the hospital's, posed and bent at will.

The template's organs do not stand where the real volumes' do (`tools/phantom_proportions.py` prints both).
Training volumes move them there on average and let them wander; the hospital keeps the template.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from lesiongraph.phantom.anatomy import TEMPLATE_LANDMARKS, Anatomy, sample_anatomy
from lesiongraph.phantom.canvas import Canvas
from lesiongraph.phantom.contours import Outline, spine_y_mm
from lesiongraph.phantom.fields import FieldGrid, Floats, lattice_of
from lesiongraph.phantom.organs import Part, abdomen_parts, thorax_parts
from lesiongraph.phantom.pathology import Pathology, paint_lung_disease, paint_masses
from lesiongraph.phantom.shapes import Curve, Tube
from lesiongraph.phantom.skeleton import Bone, thoracic_bones
from lesiongraph.phantom.study import Study
from lesiongraph.phantom.surroundings import Line, paint_blanket, paint_lines, paint_table, sample_table
from lesiongraph.phantom.training_belly import Belly
from lesiongraph.phantom.training_bones import head_bones, raised_girdle, seat_heights_mm, training_pelvis
from lesiongraph.phantom.training_limbs import ArmPose, pose_arms, sample_arms
from lesiongraph.phantom.vessels import Vessel

# Template height of an organ, how much lower it stands on average, and how much that varies (mm);
# what lies between adrenals and lower kidney pole moves as one, so that no kidney is stretched.
_ORGAN_SHIFTS = (
    (-200, 0, 0), (110, 0, 0), (158, 8, 5), (186, 11, 6), (258, 3, 8), (292, -5, 16), (360, -26, 14),
    (490, -26, 14), (530, -8, 8), (570, 0, 6), (640, 0, 5), (700, 0, 0), (900, 0, 0),
)  # fmt: skip
# The template's chest and loins are a little long, its sacrum is short.
_STRETCHES = (1.0, 1.0, 0.94, 0.95, 1.07, 1.0, 1.0)
_UPPER_POLE_MM, _LOWER_POLE_MM = 360, 490
_BREATH_STD_MM = 9.0
_WET_MESENTERY = 0.7  # of the bellies with fluid: it lies between the loops, too
_BROAD_WARP_MM, _BROAD_WAVE_MM = 6.0, 130.0
_SOFT = (
    "aortic arch",
    "carina",
    "pulmonary trunk",
    "heart",
    "liver dome",
    "adrenals",
    "pancreas",
    "kidney hilum",
)


@dataclass(frozen=True)
class BodyPose:
    """How one training body differs from the hospital's: build by height, spine, arms, disease."""

    organ_knots_mm: tuple[tuple[float, ...], tuple[float, ...]]  # true template heights, organs' own heights
    outline_seed: int
    outline_spread: float  # how much the trunk's outline varies along z
    apron_mm: float  # fat that hangs in front of the lower belly
    scoliosis_mm: float
    kyphosis_mm: float
    bend_wave_mm: float
    bend_phase: float
    broad_warp: float
    crest_mm: float  # how much lower the iliac crest stands
    girdle_mm: float  # how much higher the shoulders stand
    arms: tuple[ArmPose, ArmPose]  # left, right
    pathology: Pathology = field(default_factory=Pathology)
    belly: Belly = field(default_factory=Belly)


def sample_training_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw one adult from emaciated to very obese, short- to long-waisted."""
    usual = sample_anatomy(rng)
    lengths = np.diff(usual.z_borders_mm) * np.clip(rng.normal(_STRETCHES, 0.05), 0.82, 1.25)
    fat = float(np.clip(rng.lognormal(np.log(17), 0.7), 1.5, 70))
    return replace(
        usual,
        z_borders_mm=tuple(float(z) for z in np.concatenate([[0.0], np.cumsum(lengths)])),
        width=usual.width * float(np.clip(rng.normal(1, 0.07), 0.8, 1.2)),
        depth=usual.depth * float(np.clip(rng.normal(1, 0.08), 0.78, 1.25)),
        subcutaneous_mm=fat,
        visceral=float(np.clip(rng.beta(1.3, 1.6) * 0.7 + fat / 110, 0.0, 1.15)),
        muscle=float(rng.uniform(0.35, 1.4)),
        breast_mm=float(rng.uniform(10, 85)) if usual.sex == "F" else float(rng.uniform(0, 14)),
    )


def sample_pose(rng: np.random.Generator, region: str) -> BodyPose:
    """Draw the pose; arms beside the trunk are likelier where the neck is the aim."""
    crooked = rng.random() < 0.3
    return BodyPose(
        organ_knots_mm=_sample_knots(rng),
        outline_seed=int(rng.integers(2**31)),
        outline_spread=float(rng.uniform(0, 0.09)),
        apron_mm=float(rng.uniform(0, 70)) if rng.random() < 0.2 else 0.0,
        scoliosis_mm=float(rng.uniform(8, 28)) if crooked else float(rng.uniform(0, 6)),
        kyphosis_mm=float(rng.normal(0, 6)),
        bend_wave_mm=float(rng.uniform(280, 700)),
        bend_phase=float(rng.uniform(0, 2 * np.pi)),
        broad_warp=float(rng.uniform(0, 1.4)),
        crest_mm=float(rng.normal(18, 6)),
        girdle_mm=float(rng.normal(0, 10)),
        arms=sample_arms(rng, 0.45 if "neck" in region else 0.22),
        pathology=Pathology.sample(rng),
    )


def with_full_belly(pose: BodyPose, rng: np.random.Generator) -> BodyPose:
    """Return the pose with a belly full of fluid or of one growth; of the rest only the mesentery changes."""
    belly, pathology = Belly.sample(rng), pose.pathology
    if belly.fluid_mm and rng.random() < _WET_MESENTERY:
        pathology = replace(pathology, ascites=float(rng.uniform(0.5, 1)))
    return replace(pose, belly=belly, pathology=pathology)


def _sample_knots(rng: np.random.Generator) -> tuple[tuple[float, ...], tuple[float, ...]]:
    own, mean, spread = np.array(_ORGAN_SHIFTS, float).T
    breath = rng.normal(0, _BREATH_STD_MM) * np.exp(-(((own - 330) / 95) ** 2))
    draws = rng.standard_normal(len(own))
    draws[own == _LOWER_POLE_MM] = draws[own == _UPPER_POLE_MM]
    heights = own + mean + spread * draws + breath
    for k in range(1, len(own)):  # organs keep their order, and none is squeezed to less than half
        heights[k] = max(heights[k], heights[k - 1] + 0.5 * (own[k] - own[k - 1]))
    return tuple(map(float, heights)), tuple(map(float, own))


@dataclass
class TrainingStudy(Study):
    """A study of a training body: everything a `Study` works out once, then bent."""

    pose: BodyPose | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        pose, anatomy = self._pose, self.anatomy
        self.organ_z = np.interp(self.template_z, *pose.organ_knots_mm)
        self.soft_z = anatomy.patient_z(self.organ_z)
        self._vary_outlines()
        tubes, limbs = pose_arms(anatomy, pose.arms, self.skin, self.z_mm)
        self._arms = (
            tuple(limb.shifted(0, 0, -pose.girdle_mm) for limb in tubes),
            tuple(replace(bone, tube=bone.tube.shifted(0, 0, -pose.girdle_mm)) for bone in limbs),
        )
        self._bones = (
            *raised_girdle(thoracic_bones(anatomy), pose.girdle_mm),
            *training_pelvis(anatomy, pose.crest_mm),
            *head_bones(anatomy),
        )
        self._couch = sample_table(self.rng)
        if self.plan.table:
            self.base = paint_table(self._level_coordinates(), self._back(), self._couch)
        pathology = pose.pathology
        self.missing, self.organ_scale = pathology.missing, dict(pathology.organ_scale)
        self.muscle_gaps = pathology.muscle_gaps
        self.effusion = pathology.effusion
        self.bladder_full = pathology.bladder_mm
        self.bowel = tuple(_widened(loop, pathology.bowel_scale) for loop in self.bowel)
        self.bowel_gas = [max(gas, pathology.bowel_gas) for gas in self.bowel_gas]
        plan = self.plan
        across = (np.arange(plan.columns) - (plan.columns - 1) / 2) * plan.pixel_mm + plan.centre_x_mm
        down = (np.arange(plan.rows) - (plan.rows - 1) / 2) * plan.pixel_mm + plan.centre_y_mm
        self._broad = FieldGrid.build(across, down, self.z_mm, _BROAD_WAVE_MM)
        turn = 2 * np.pi * self.z_mm / pose.bend_wave_mm + pose.bend_phase
        self._bend_x, self._bend_y = pose.scoliosis_mm * np.sin(turn), pose.kyphosis_mm * np.cos(turn)
        self._spine_y = spine_y_mm(anatomy, self.z_mm)

    @property
    def _pose(self) -> BodyPose:
        if self.pose is None:
            raise ValueError("pose: expected the BodyPose of a training volume, got None")
        return self.pose

    def _table(self) -> Floats:
        """Leave air: the couch is painted once the outlines are known."""
        return np.full(self.body_x.shape, -1000, np.float32)

    def _level_coordinates(self) -> tuple[Floats, Floats]:
        """Return x and y (rows, columns) of a couch that does not turn with the patient."""
        x = self.cos * self.body_x - self.sin * self.body_y
        return x.astype(np.float32), (self.sin * self.body_x + self.cos * self.body_y).astype(np.float32)

    def _back(self) -> float:
        return max(self.flat_back(i) for i in range(len(self.z_mm))) + 2

    def _vary_outlines(self) -> None:
        """Let width and depth of the trunk wander along z; hang the apron in front."""
        pose, tz = self._pose, self.template_z
        rng = np.random.default_rng(pose.outline_seed)
        knots = np.arange(-250, 1000, 85)
        wide, deep = (
            np.clip(1 + pose.outline_spread * np.interp(tz, knots, rng.normal(0, 1, len(knots))), 0.8, 1.25)
            for _ in range(2)
        )
        self.skin, self.muscle, self.cavity = (
            Outline(o.half_x * wide, o.half_y * deep, o.centre_y, o.square)
            for o in (self.skin, self.muscle, self.cavity)
        )
        apron = pose.apron_mm * np.exp(-(((tz - 610) / 75) ** 2))
        skin = self.skin
        self.skin = Outline(skin.half_x + 0.2 * apron, skin.half_y + apron / 2, skin.centre_y - apron / 2,
                            skin.square)  # fmt: skip
        self.skin, self.muscle, self.cavity = pose.belly.stretched((self.skin, self.muscle, self.cavity), tz)

    def canvas(self, i: int) -> Canvas:
        """Return the empty slice `i`, bent round the spine and broadly warped."""
        canvas = super().canvas(i)
        seed, amount = self.anatomy.seed, np.float32(_BROAD_WARP_MM * self._pose.broad_warp)
        x, y = canvas.x, canvas.y
        # The spine and what hangs on it move; the skin hardly does.
        core = np.exp(-((x / 95) ** 2) - ((y - np.float32(self._spine_y[i])) / 85) ** 2).astype(np.float32)
        canvas.x = (
            x - np.float32(self._bend_x[i]) * core + amount * self._broad.slice_of(lattice_of(seed, 4), i)
        )
        canvas.y = (
            y - np.float32(self._bend_y[i]) * core + amount * self._broad.slice_of(lattice_of(seed, 5), i)
        )
        canvas.margin_mm += 2.6 * float(amount) + abs(float(self._bend_x[i])) + abs(float(self._bend_y[i]))
        return canvas

    def arms(self) -> tuple[tuple[Tube, ...], tuple[Bone, ...]]:
        """Return arms as posed."""
        return self._arms

    def bones(self) -> tuple[Bone, ...]:
        """Return chest, pelvis with its own crest, and skull."""
        return self._bones

    def paint_surroundings(self, canvas: Canvas, i: int, lines: tuple[Line, ...]) -> None:
        """Paint what lies on the patient: lines and a blanket."""
        paint_lines(canvas, float(self.z_mm[i]), lines)
        if self._couch.blanket_mm:
            skin = self.skin
            outline = (skin.half_x[i], skin.half_y[i], skin.centre_y[i], skin.square[i])
            depth = canvas.outline_depth(
                (float(outline[0]), float(outline[1]), float(outline[2]), float(outline[3]))
            )
            paint_blanket(canvas, depth, self._couch.blanket_mm)

    def paint_lung_disease(self, canvas: Canvas, i: int, cavity: Floats) -> None:
        """Fill lungs as the pathology says."""
        paint_lung_disease(self._pose.pathology, canvas, float(self.organ_z[i]), cavity, self.tissues)

    def paint_masses(self, canvas: Canvas, i: int, cavity: Floats) -> None:
        """Paint large tumours, fluid under the wall and what else fills a belly."""
        if self._pose.belly != Belly():
            wall = self.cavity
            outline = wall.half_x[i], wall.half_y[i], wall.centre_y[i], wall.square[i]
            depth = canvas.outline_depth(
                (float(outline[0]), float(outline[1]), float(outline[2]), float(outline[3]))
            )
            self._pose.belly.paint(canvas, float(self.organ_z[i]), depth, cavity)
        paint_masses(self._pose.pathology, canvas, float(self.organ_z[i]), cavity, self.tissues)


def landmark_heights_mm(anatomy: Anatomy, pose: BodyPose) -> dict[str, float]:
    """Return where each landmark is drawn (patient mm): bones by the skeleton, organs by their shapes."""
    heights = {
        name: float(anatomy.patient_z(z)) for name, z in TEMPLATE_LANDMARKS.items() if name not in _SOFT
    }
    heights["iliac crest"] = float(anatomy.patient_z(TEMPLATE_LANDMARKS["iliac crest"] + pose.crest_mm))
    seat = anatomy.patient_z(TEMPLATE_LANDMARKS["ischial tuberosity"])
    heights["ischial tuberosity"] = float(seat_heights_mm(anatomy, seat))
    true, own = pose.organ_knots_mm
    for name, organ_mm in _organ_heights_mm(anatomy).items():
        heights[name] = float(anatomy.patient_z(np.interp(anatomy.template_z(organ_mm), own, true)))
    return heights


def _organ_heights_mm(anatomy: Anatomy) -> dict[str, float]:
    """Return the height of each soft landmark in the organs' own, unmoved frame (patient mm)."""
    heights = {name: float(anatomy.patient_z(TEMPLATE_LANDMARKS[name])) for name in _SOFT}
    parts = abdomen_parts(anatomy)
    # A few mm below the very top of the liver: the first slice on which its cap is plain.
    heights["liver dome"] = _knot(_first(parts, "liver"), 0) + 5.0
    heights["kidney hilum"] = (
        _knot(_first(parts, "left kidney"), 3) + _knot(_first(parts, "right kidney"), 3)
    ) / 2
    heights["heart"] = _knot(_first(thorax_parts(anatomy), "heart"), 3)
    return heights


def _first(parts: tuple[Part, ...], organ: str) -> Part:
    return next(part for part in parts if part.organ == organ)


def _knot(part: Part, row: int) -> float:
    return float(part.tube.z_mm[row])


def _widened(loop: Vessel, by: float) -> Vessel:
    return replace(loop, curve=Curve(loop.curve.points_mm, loop.curve.radii_mm * by))
