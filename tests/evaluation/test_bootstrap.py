import numpy as np
import pytest

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation import patient_bootstrap, patient_resamples


def test_interval_holds_the_mean_and_widens_with_correlated_lesions() -> None:
    rng = np.random.default_rng(0)
    of_patient = rng.normal(size=50)
    values = np.repeat(of_patient, 10)  # ten lesions of a patient say the same
    patients = np.repeat(np.arange(50), 10)
    by_patient = patient_bootstrap(lambda r: values[r].mean(), patients, rng=np.random.default_rng(1))
    by_lesion = patient_bootstrap(lambda r: values[r].mean(), np.arange(500), rng=np.random.default_rng(1))
    assert by_patient.estimate == pytest.approx(values.mean())
    assert by_patient.low < by_patient.estimate < by_patient.high
    width, narrow = by_patient.high - by_patient.low, by_lesion.high - by_lesion.low
    # The standard error of 50 independent values is sqrt(10) times that of 500.
    assert width / narrow == pytest.approx(np.sqrt(10), rel=0.2)
    assert width == pytest.approx(2 * 1.96 * of_patient.std() / np.sqrt(50), rel=0.15)


def test_repeatable_and_level() -> None:
    values = np.arange(40.0)
    wide, narrow = (
        patient_bootstrap(
            lambda r: values[r].mean(), np.arange(40), rng=np.random.default_rng(5), repeats=200, level=level
        )
        for level in (0.95, 0.5)
    )
    assert wide.low < narrow.low < narrow.high < wide.high
    assert narrow.repeats == 200


def test_wrong_use() -> None:
    with pytest.raises(NotEnoughDataError, match="two patients"):
        patient_bootstrap(lambda r: 0.0, ["a", "a"], rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="level"):
        patient_bootstrap(lambda r: 0.0, ["a", "b"], rng=np.random.default_rng(0), level=1)


def test_resamples_draw_whole_patients_whatever_the_order_of_their_lesions() -> None:
    patients = np.array(["b", "a", "b", "c", "a", "b"])
    order = np.array([5, 2, 0, 1, 4, 3])
    first, second = (
        patient_resamples(names, rng=np.random.default_rng(0), repeats=50)
        for names in (patients, patients[order])
    )
    for rows, again in zip(first, second, strict=True):
        counts = np.bincount(rows, minlength=6)
        assert all(len(set(counts[patients == name])) == 1 for name in "abc")
        assert sum(counts[[0, 1, 3]]) == 3
        # the same patients are drawn: two tables of the same lesions can be compared
        assert sorted(patients[rows]) == sorted(patients[order][again])
