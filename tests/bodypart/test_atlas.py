import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rulers import Ruler, ruler_atlas, slices_scoring

from lesiongraph.bodypart import (
    REGIONS,
    Atlas,
    ErrorSample,
    Landmark,
    ScoredVolume,
    SsbrModel,
    TrainingVolume,
    ZError,
    ZMap,
    agreement,
    align_z,
    build_atlas,
    fit_z_error,
)
from lesiongraph.bodypart.body_tags import regions_of_term, term_of
from lesiongraph.errors import NotEnoughDataError, WeightsError

# --- the packaged atlas ------------------------------------------------------------------------------


def test_the_packaged_atlas_was_built_with_the_packaged_weights():
    """After new weights: python tools/build_atlas.py --data ../shared/data."""
    model = SsbrModel.load()
    atlas = Atlas.load()
    assert atlas.for_model(model) is atlas
    assert [region.name for region in atlas.regions] == list(REGIONS)
    z = [row.z for row in atlas.table]
    assert (np.diff(z) > 0).all()
    order = [row.name for row in atlas.table]
    known = ["thoracic inlet", "carina", "liver dome", "kidney hilum", "iliac crest", "femoral head"]
    assert [name for name in order if name in known] == known
    assert atlas.z_error.sd(0) > atlas.z_error.sd(300)


# --- looking up ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("z", "region", "said"),
    [
        (0.05, "head", "1 cm above hyoid"),
        (0.2, "chest", "thoracic inlet"),
        (0.33, "chest", "1 cm below carina"),
        (0.399999, "chest", "liver dome"),
        (0.4, "abdomen", "liver dome"),
        (0.95, "thigh", "3 cm below ischial tuberosity"),
    ],
)
def test_region_and_nearest_landmark(z, region, said):
    atlas = ruler_atlas()
    assert atlas.region(z) == region
    assert str(atlas.nearest_landmark(z)) == said


def test_a_z_that_is_no_number_is_nowhere():
    atlas = ruler_atlas()
    assert atlas.region(np.nan) == ""
    assert atlas.nearest_landmark(np.nan) is None
    assert atlas.body_part_examined(np.nan, np.nan) == ""
    assert not atlas.in_range(np.nan)


@given(st.floats(0, 1), st.floats(0, 1))
def test_regions_of_a_series_are_an_unbroken_run_inside_it(a, b):
    atlas = ruler_atlas()
    low, high = min(a, b), max(a, b)
    shown = atlas.regions_between(low, high)
    places = [REGIONS.index(name) for name in shown]
    assert places == list(range(places[0], places[0] + len(places))) if places else True
    first, last = REGIONS.index(atlas.region(low)), REGIONS.index(atlas.region(high))
    assert all(first <= place <= last for place in places)


@pytest.mark.parametrize(
    ("low", "high", "term"),
    [
        (0.19, 0.42, "CHEST"),  # a little neck and liver do not count
        (0.19, 0.52, "CHESTABDOMEN"),
        (0.2, 0.8, "CHESTABDPELVIS"),
        (0.1, 0.8, "NECKCHESTABDPELV"),
        (0.1, 0.95, "NECKCHESTABDPELV"),  # no term holds neck to thigh
        (0.4, 0.78, "ABDOMENPELVIS"),
        (0.25, 0.29, "CHEST"),  # short, yet all of it is chest
        (0.62, 0.99, "PELVISLOWEXTREMT"),
        (0.85, 0.99, "THIGH"),
        (0.0, 0.05, "HEAD"),
        (0.5, 0.5, "ABDOMEN"),
    ],
)
def test_the_term_for_what_a_series_shows(low, high, term):
    assert ruler_atlas().body_part_examined(low, high) == term


def test_terms_are_dicoms_and_name_their_regions():
    for first in range(6):
        for last in range(first, 6):
            term = term_of(REGIONS[first : last + 1])
            assert term == term.upper()
            assert 0 < len(term) <= 16  # value representation CS
            assert regions_of_term(term) <= set(REGIONS[first : last + 1])
    assert term_of(()) == ""


@pytest.mark.parametrize(
    ("given_term", "found", "said"),
    [
        ("CHEST", ["chest"], "yes"),
        ("LUNG", ["chest"], "yes"),
        ("chest", ["chest", "abdomen"], "in part"),
        ("CHEST_ABD_PELVIS", ["chest"], "in part"),
        ("PET-CT WB", ["chest"], "unknown term"),
        ("CHESTABDPELVIS", ["chest"], "in part"),
        ("BREAST", ["head", "neck"], "no"),
        ("", ["chest"], ""),
        ("CHEST", [], ""),
    ],
)
def test_what_the_header_says_is_compared(given_term, found, said):
    assert agreement(given_term, found) == said


def test_three_classes_by_two_thresholds():
    z = [0.05, 0.39, 0.4, 0.59, 0.6, 0.99, np.nan]
    assert ruler_atlas().three_class(z).tolist() == [
        "chest", "chest", "abdomen", "abdomen", "pelvis", "pelvis", "",
    ]  # fmt: skip


def test_real_rows_speak_where_three_patients_do_and_differences_are_named():
    rows = (
        Landmark("carina", 0.30, 0.02, 80, "phantom"),
        Landmark("carina", 0.36, 0.02, 5, "real"),
        Landmark("liver dome", 0.40, 0.02, 80, "phantom"),
        Landmark("liver dome", 0.41, 0.0, 2, "real"),
        Landmark("bladder", 0.7, 0.0, 1, "real"),
    )
    atlas = ruler_atlas(landmarks=rows)
    assert [(row.name, row.z) for row in atlas.table] == [
        ("carina", 0.36), ("liver dome", 0.40), ("bladder", 0.7),
    ]  # fmt: skip
    assert [a.name for a, _ in atlas.disagreements()] == ["carina"]


# --- weights it was not built for ---------------------------------------------------------------------


def test_an_atlas_of_other_weights_is_refused():
    other = Ruler()
    other.sha256 = "1" * 64
    with pytest.raises(WeightsError, match=r"sha256 1111.*build_atlas"):
        ruler_atlas().for_model(other)


def test_files_come_back_and_damaged_ones_are_named(tmp_path):
    atlas = ruler_atlas()
    path = tmp_path / "atlas.json"
    atlas.save(path)
    assert Atlas.load(path) == atlas
    stored = json.loads(path.read_text())
    for bad in ({**stored, "format": 99}, {**stored, "regions": stored["regions"][1:]}, {}, [1]):
        path.write_text(json.dumps(bad))
        with pytest.raises(WeightsError, match=r"atlas\.json.*build_atlas"):
            Atlas.load(path)
    with pytest.raises(WeightsError):
        Atlas.load(tmp_path / "gone.json")


# --- the expected error -------------------------------------------------------------------------------


def test_the_constants_of_the_expected_error_are_found_again():
    rng = np.random.default_rng(3)
    true = ZError(0.02, 0.05, 80.0, 0.01)
    span = rng.choice([0, 40, 80, 160, 320.0], 6000)
    residual = np.where(span > 0, rng.lognormal(np.log(0.01), 0.3, 6000), np.nan)
    errors = rng.normal(0, true.sd(span, residual))
    samples = [ErrorSample(*row) for row in zip(errors, span, residual, strict=True)]
    found = fit_z_error(samples)
    assert found.level == pytest.approx(0.02, rel=0.15)
    assert found.wander == pytest.approx(0.05, rel=0.15)
    assert found.memory_mm == pytest.approx(80, rel=0.3)
    sd = found.sd(span, residual)
    assert np.mean(np.abs(errors) < sd) == pytest.approx(0.683, abs=0.02)
    assert np.mean(np.abs(errors) < 2 * sd) == pytest.approx(0.954, abs=0.01)


def test_too_few_errors_are_refused():
    with pytest.raises(ValueError, match="30 samples, got 2"):
        fit_z_error([ErrorSample(0.1, 0, 0.01)] * 2)
    with pytest.raises(ValueError, match="alone"):
        fit_z_error([ErrorSample(0.1, 0, np.nan)] * 40)


# --- building -----------------------------------------------------------------------------------------

HEIGHTS_MM = {"hyoid": 30, "thoracic inlet": 60, "carina": 80, "liver dome": 100, "iliac crest": 130,
              "ischial tuberosity": 160}  # fmt: skip


def scored(number, rng, source="phantom", shift=0.0, level=0.05):
    """A volume whose scores lie on the ruler but for its level and a scatter of 0.02."""
    position = np.arange(0, 185, 5.0)
    score = 0.1 + position / 100 + shift + rng.normal(0, level) + rng.normal(0, 0.02, len(position))
    marks = {name: height / 5 for name, height in HEIGHTS_MM.items()}
    return ScoredVolume(
        f"{source} {number}", f"{source} {number}", source, score, np.ones(len(score), bool), position, marks
    )


def test_an_atlas_is_built_from_landmarks_and_knows_its_error():
    rng = np.random.default_rng(0)
    volumes = [scored(i, rng) for i in range(40)]
    volumes += [scored(i, rng, "real", shift=0.2) for i in range(4)]
    atlas, checked = build_atlas(Ruler(), volumes)
    rows = {(row.name, row.source): row for row in atlas.landmarks}
    for name, height in HEIGHTS_MM.items():
        assert rows[name, "phantom"].z == pytest.approx(0.5 * (0.1 + height / 100), abs=0.02)
        assert (rows[name, "phantom"].n, rows[name, "real"].n) == (40, 4)
    # real rows draw the borders, the hyoid's 4 cm above it: 0.5 (0.1 + 0.2 + 0.6), less 0.2
    assert atlas.regions[2].z_from == pytest.approx(0.45, abs=0.03)
    assert "real, n = 4" in atlas.rules["neck|chest"]
    assert {a.name for a, _ in atlas.disagreements()} == set(HEIGHTS_MM)
    # 0.05 of score between patients is 0.025 of z
    assert atlas.z_error.level == pytest.approx(0.025, abs=0.008)
    assert {c.span_asked_mm for c in checked if c.source == "real"} >= {0, 80, np.inf}


def test_the_expected_error_is_that_of_patients_the_scorer_never_saw():
    rng = np.random.default_rng(2)
    phantoms = [scored(i, rng) for i in range(40)]
    # trained on: all at the same level; left out of a fold: 0.2 of score between patients
    trained = [scored(i, rng, "real", level=0.0) for i in range(12)]
    trained = [dataclasses.replace(volume, training="trained on") for volume in trained]
    left_out = [
        dataclasses.replace(scored(i, rng, "real", level=0.2), training="left out") for i in range(12)
    ]
    atlas, checked = build_atlas(Ruler(), [*phantoms, *trained], left_out)
    fooled, _ = build_atlas(
        Ruler(), [*phantoms, *(dataclasses.replace(volume, training="never") for volume in trained)]
    )
    assert atlas.z_error.level > 2 * fooled.z_error.level
    assert {c.training for c in checked if c.source == "real"} == {"trained on", "left out"}
    # left-out scores say how wrong, never where a landmark lies
    assert atlas.landmarks == fooled.landmarks
    own = [c.sample.error for c in checked if c.training == "left out" and c.landmark == "carina"]
    assert np.std(own) == pytest.approx(0.1, abs=0.05)
    with pytest.raises(ValueError, match="at least 30"):
        build_atlas(Ruler(), trained)


def test_volumes_of_one_patient_count_once_and_broken_ones_not():
    rng = np.random.default_rng(1)
    first, *others = [scored(i, rng) for i in range(30)]
    twin = ScoredVolume(**{**first.__dict__, "name": "again"})
    upside_down = scored(99, rng)
    upside_down = ScoredVolume(**{**upside_down.__dict__, "score": upside_down.score[::-1].copy()})
    atlas, _ = build_atlas(Ruler(), [first, twin, upside_down, *others])
    assert {row.n for row in atlas.landmarks} == {30}


def test_a_border_without_a_landmark_is_an_error():
    rng = np.random.default_rng(1)
    volumes = [scored(i, rng) for i in range(30)]
    for volume in volumes:
        del volume.landmarks["iliac crest"]
    with pytest.raises(NotEnoughDataError, match="iliac crest"):
        build_atlas(Ruler(), volumes)


# --- laying one model's z onto another's --------------------------------------------------------------


class Fitted(Ruler):
    """The ruler with a scale of its own."""

    name = "fitted"
    sha256 = "2" * 64
    score_per_mm = 0.03
    z_map = ZMap(1.0, 0.0)

    def score(self, slices):
        return 3 * super().score(slices) - 2


def volumes_for_alignment(rng, count=6):
    position = np.arange(0, 120, 5.0)
    return [
        TrainingVolume(
            slices_scoring(rng.uniform(0.3, 0.6) + position / 100 + rng.normal(0, 0.05, 24)), 5.0, f"{i}"
        )
        for i in range(count)
    ]


def test_a_fitted_models_z_is_laid_onto_the_packaged_models():
    fitted, packaged = Fitted(), Ruler()
    volumes = volumes_for_alignment(np.random.default_rng(0))
    wrong = TrainingVolume(volumes[0].slices[::-1].copy(), 5.0, "upside down")
    found = align_z(fitted, packaged, [*volumes, wrong])
    assert found.found
    assert (found.volumes, found.volumes_used) == (7, 6)
    assert found.residual_z < 0.005
    for volume in volumes:
        here = fitted.to_z(fitted.score(volume.slices))
        there = packaged.to_z(packaged.score(volume.slices))
        assert here == pytest.approx(there, abs=0.01)
    assert "6 of 7 volumes" in found.describe("ssbr-compact")
    atlas = ruler_atlas().for_model(fitted)
    assert atlas.alignment_sd == pytest.approx(found.residual_z, abs=1e-5)
    assert atlas.z_sd(100) >= ruler_atlas().z_sd(100)


def test_models_that_look_at_slices_differently_are_aligned_over_both_views():
    fitted, packaged = Fitted(), Ruler()
    fitted.slice_mode = "frame"
    volumes = volumes_for_alignment(np.random.default_rng(0))
    darker = [dataclasses.replace(volume, slices=volume.slices // 2) for volume in volumes]
    with pytest.raises(ValueError, match="slice modes differ"):
        align_z(fitted, packaged, darker)
    assert align_z(fitted, packaged, darker, volumes).found
    here = fitted.to_z(fitted.score(darker[0].slices))
    assert here == pytest.approx(packaged.to_z(packaged.score(volumes[0].slices)), abs=0.02)


def test_where_the_packaged_model_cannot_tell_the_fitted_one_keeps_its_own_z():
    rng = np.random.default_rng(0)
    shuffled = [
        TrainingVolume(rng.permutation(volume.slices), 5.0, volume.name)
        for volume in volumes_for_alignment(rng)
    ]
    fitted = Fitted()
    found = align_z(fitted, Ruler(), shuffled)
    assert not found.found
    assert fitted.z_map == ZMap(1.0, 0.0)
    assert "0 of 6" in found.describe("ssbr-compact")
    with pytest.raises(WeightsError):
        ruler_atlas().for_model(fitted)
