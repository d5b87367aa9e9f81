"""Pseudo-labels of the pool: the labellers by name, abstention counted, noise against the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lesiongraph.cues import AbstainingLabeller, PseudoLabels, TypeClassifier
from lesiongraph.pipeline.labelling import label_noise, label_pool, labels_table
from lesiongraph.pipeline.training_set import TrainingSet
from lesiongraph.recipe import EmbeddingRecipe, override, preset

SEEDS, POOL = 60, 30


@pytest.fixture
def case() -> tuple[TrainingSet, np.ndarray]:
    """Two overlapping types, three of four seeds lung; seeds of ten patients, then the pool."""
    rng = np.random.default_rng(0)
    kinds = np.where(rng.random(SEEDS + POOL) < 0.75, "lung", "liver")
    features = rng.normal(0, 1, (SEEDS + POOL, 3)) + np.where(kinds == "lung", 0, 1.5)[:, None]
    lesions = pd.DataFrame(
        {
            "lesion_id": [f"L{i}" for i in range(len(kinds))],
            "patient_id": [f"P{i % 10}" for i in range(len(kinds))],
            "type": np.where(np.arange(len(kinds)) < SEEDS, kinds, ""),
            "tracking_uid": [f"t{i}" for i in range(len(kinds))],
        }
    )
    rows = np.arange(len(kinds))
    data = TrainingSet(lesions, rows[:SEEDS], rows[SEEDS:], np.zeros((POOL, 3)), np.zeros((POOL, 2)))
    return data, features


@pytest.mark.parametrize("name", ["svm", "balanced"])
def test_a_labeller_by_its_name(case, name):
    data, features = case
    found = label_pool(data, features, EmbeddingRecipe(labeller=name))
    plain = TypeClassifier(balanced=name == "balanced").fit(features[:SEEDS], data.seed_types)
    np.testing.assert_array_equal(found.labels.types, plain.predict(features[SEEDS:]).types)
    assert found.facts["without a label"] == 0
    assert found.facts["seeds of each type"]["lung"] == int((data.seed_types == "lung").sum())


def test_abstention_leaves_lesions_out_and_counts_them(case):
    data, features = case
    recipe = override(preset("demo"), {"abstain": "0.9"}).embedding
    found = label_pool(data, features, recipe)
    wanted = AbstainingLabeller(TypeClassifier, 0.9).fit(
        features[:SEEDS], data.seed_types, patients=data.seed_patients
    )
    np.testing.assert_array_equal(found.labels.types, wanted.predict(features[SEEDS:]).types)
    assert found.facts["without a label"] == int((found.labels.types == "").sum()) > 0
    assert found.facts["abstains below"] == wanted.threshold


def test_noise_against_a_truth_file_then_the_catalogue(case):
    data, _ = case
    table = labels_table(data, PseudoLabels(np.full(POOL, "lung"), np.ones(POOL))).assign(type_before="liver")
    assert label_noise(table, data.lesions, None) is None, "the pool's types are not known"
    truth = pd.Series("lung", index=[f"t{i}" for i in range(SEEDS, SEEDS + 10)])
    noise = label_noise(table, data.lesions, truth)
    assert noise is not None
    assert noise["pool lesions of known type"] == noise["mended"] == noise["labels changed"] == 10
    assert noise["before refinement"]["right of those labelled"] == 0
    assert noise["after refinement"]["right of those labelled"] == 1
    stated = data.lesions.assign(type="liver")
    assert label_noise(table, stated, truth)["pool lesions of known type"] == POOL
    assert label_noise(table, stated, truth)["mended"] == 10


def test_no_labels_no_noise(case):
    data, _ = case
    table = labels_table(data, None)
    assert (table.type == "").all()
    assert label_noise(table.assign(type_before=""), data.lesions.assign(type="lung"), None) is None
