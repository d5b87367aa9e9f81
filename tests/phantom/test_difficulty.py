"""Two difficulties: the plain hospital stays as it was, the hard one varies more and mislabels nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from lesiongraph.errors import UsageError
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom import generate_hospital
from lesiongraph.phantom.belonging import belongs
from lesiongraph.phantom.difficulty import (
    CALIBRATION_SEEDS,
    EVALUATION_SEEDS,
    HARD,
    PLAIN,
    TRAINING_SEEDS,
    Difficulty,
)
from lesiongraph.phantom.lesions import place_lesion
from lesiongraph.phantom.patient import PatientTask, _place_lesions, _plan_scans
from lesiongraph.phantom.population import plan_patient

SEED = 4077


def _task(index: int, level: Difficulty) -> PatientTask:
    return PatientTask(Path("unused"), index, SEED, 96, level)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _numbers(difficulty: Difficulty) -> str:
    return json.dumps(dataclasses.asdict(difficulty), sort_keys=True)


def test_the_frozen_numbers_are_those_of_their_version() -> None:
    """Whoever changes a number of a frozen hospital has to raise its version, and this line with it."""
    assert (PLAIN.version, _digest(_numbers(PLAIN).encode())) == (1, "f9f08781e7301904")
    assert (HARD.version, _digest(_numbers(HARD).encode())) == (1, "36015113ba48a13a")


def test_no_seed_serves_two_purposes() -> None:
    seeds = [*CALIBRATION_SEEDS, *EVALUATION_SEEDS, *TRAINING_SEEDS]
    assert len(set(seeds)) == len(seeds)


def test_the_plain_hospital_is_as_it_was_before_there_were_two(tmp_path: Path) -> None:
    """Truth to the byte; pixels by their mean, since another processor may round a sum another way."""
    generate_hospital(tmp_path / "out", 2, SEED, rows=64, workers=1)
    truth = (tmp_path / "out" / "truth" / "truth.csv").read_bytes()
    assert _digest(truth) == "b9dc51033728e6c0"
    settings = json.loads((tmp_path / "out" / "truth" / "hospital.json").read_text())
    assert settings == {"layout_version": 1, "rng_seed": SEED, "rows": 64}
    found = []
    for path in sorted((tmp_path / "out" / "dicom").rglob("*.dcm")):
        ds = dcmread(path)
        if ds.Modality == "CT":
            found.append(ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept))
    pixels = np.maximum(np.stack(found), -1024)
    assert len(pixels) == 224
    assert pixels.mean() == pytest.approx(-643.31, abs=0.02)
    assert pixels.std() == pytest.approx(477.70, abs=0.02)


def test_a_hard_hospital_says_so_and_is_not_mixed_with_a_plain_one(tmp_path: Path) -> None:
    generate_hospital(tmp_path / "out", 1, SEED, rows=64, workers=1, difficulty="hard")
    settings = json.loads((tmp_path / "out" / "truth" / "hospital.json").read_text())
    assert (settings["difficulty"], settings["difficulty_version"]) == ("hard", HARD.version)
    # Frozen with version 1: code that changes this draws another hospital and has to raise the version.
    assert _digest((tmp_path / "out" / "truth" / "truth.csv").read_bytes()) == "da08bd047737584e"
    with pytest.raises(UsageError, match="expected a hospital of"):
        generate_hospital(tmp_path / "out", 1, SEED, rows=64, workers=1)


def test_an_unknown_difficulty_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="plain or hard"):
        generate_hospital(tmp_path / "out", 1, SEED, difficulty="easy")
    assert not (tmp_path / "out").exists()


def test_hard_places_belong_to_their_type() -> None:
    for index in range(60):
        task = _task(index, HARD)
        anatomy = task.anatomy()
        for _, lesion in _place_lesions(task, plan_patient(index, SEED, HARD), anatomy):
            assert belongs(anatomy, lesion), (index, lesion.type, lesion.organ)


def test_without_the_check_some_places_would_not_belong() -> None:
    rng = np.random.default_rng(0)
    anatomies = [_task(index, HARD).anatomy() for index in range(40)]
    wrong = Counter()
    for anatomy in anatomies:
        for kind in LESION_TYPES:
            wrong[kind] += not belongs(anatomy, place_lesion(anatomy, kind, 15.0, 1, rng))
    assert wrong["abdomen"] > 4
    assert wrong["mediastinum"] > 2
    assert wrong["lung"] == wrong["kidney"] == wrong["bone"] == 0


def test_hard_patients_differ_more() -> None:
    def spread_mm(level: Difficulty) -> float:
        anatomies = [_task(index, level).anatomy() for index in range(200)]
        return float(np.std([a.landmarks["liver dome"] / a.height_mm for a in anatomies]))

    assert spread_mm(HARD) > 1.3 * spread_mm(PLAIN)


def test_kin_look_alike_in_the_hard_hospital_only() -> None:
    def same_look(level: Difficulty) -> float:
        same = []
        for index in range(60):
            task = _task(index, level)
            anatomy = task.anatomy()
            lesions = [one for _, one in _place_lesions(task, plan_patient(index, SEED, level), anatomy)]
            for kind in {one.type for one in lesions}:
                looks = [one.look for one in lesions if one.type == kind]
                same += [look == looks[0] for look in looks[1:]]
        return float(np.mean(same))

    assert same_look(PLAIN) < 0.75
    assert same_look(HARD) > 0.85


def test_follow_up_mostly_repeats_the_protocol_in_the_hard_hospital() -> None:
    def repeated(level: Difficulty) -> float:
        same = []
        for index in range(60):
            task, plan = _task(index, level), plan_patient(index, SEED, level)
            anatomy = task.anatomy()
            phases = [_plan_scans(task, (anatomy, []), visit)[0].contrast_phase for visit in plan.visits]
            same += [phase == phases[0] for phase in phases[1:]]
        return float(np.mean(same))

    assert repeated(HARD) > repeated(PLAIN) + 0.15


def test_subsets_of_a_hard_hospital_have_the_sizes_stated() -> None:
    """400 patients: nearly half in the pool; marks are about seven a patient."""
    plans = [plan_patient(index, SEED, HARD) for index in range(400)]
    assert sum(plan.labelled for plan in plans) == 220
    lesions = [lesion for plan in plans if plan.labelled for lesion in plan.lesions]
    assert {lesion.type for lesion in lesions} == set(LESION_TYPES)
