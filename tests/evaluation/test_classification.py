import numpy as np
import pytest

from lesiongraph.evaluation import classification_accuracy, classify, confusion_matrix


def test_separable_types_and_a_wrong_label() -> None:
    rng = np.random.default_rng(0)
    names = np.array(["lung", "bone", "liver"])
    types = np.repeat(names, 20)
    features = np.repeat(np.eye(3) * 20, 20, axis=0) + rng.normal(size=(60, 3))
    result = classify(features, types, features[::5], types[::5])
    assert result is not None
    assert result.converged
    assert result.accuracy == 1
    wrong = types.copy()
    wrong[0] = "bone"
    assert classification_accuracy(features, types, features[::5], wrong[::5]) == 11 / 12


def test_cannot_be_computed() -> None:
    ones = np.ones((4, 2))
    assert classify(ones, ["lung"] * 4, ones, ["lung"] * 4) is None
    assert classify(np.empty((0, 2)), [], ones, ["lung"] * 4) is None
    assert classify(ones, ["lung", "bone"] * 2, np.empty((0, 2)), []) is None


def test_confusion_matrix_counts_every_lesion() -> None:
    table = confusion_matrix(["lung", "lung", "bone"], ["lung", "bone", "bone"], ("bone", "lung"))
    assert table.tolist() == [[1, 0], [1, 1]]
    assert confusion_matrix(["kidney"], ["pelvis"]).shape == (8, 8)
    with pytest.raises(ValueError, match="heart"):
        confusion_matrix(["lung"], ["heart"])
    with pytest.raises(ValueError, match="2 predictions"):
        confusion_matrix(["lung", "lung"], ["lung"])
