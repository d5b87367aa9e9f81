"""What a training says of the sequences it learned from."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from lesiongraph.pipeline.training_run import ANCHORS, TrainingRun
from lesiongraph.recipe import preset

FAITHFUL = preset("paper").embedding


def training(recipe=FAITHFUL, *, pool: int = 100, anchors: int = 3) -> TrainingRun:
    """A training whose first sequences were counted."""
    counts = {"lesions": pool, "left_out": 2, "without_b": 70, "without_c": 95, "anchors": anchors}
    run = TrainingRun(recipe, SimpleNamespace(pool=np.arange(pool)), None, None, None, None)
    run.details["sequences from initial feature"] = counts
    return run


@pytest.mark.parametrize(("anchors", "said"), [(1, True), (9, True), (10, False), (100, False)])
def test_few_anchors_are_told(anchors, said) -> None:
    assert len(training(anchors=anchors).notes()) == said


def test_what_the_others_lack_is_told() -> None:
    (note,) = training().notes()
    for told in ("3 of 100 pool lesions", "2 take no part", "70 have no B, 95 have no C", "t_low = 0.02",
                 "relax_sequences=true"):  # fmt: skip
        assert told in note


def test_nobody_is_told_to_relax_what_is_relaxed() -> None:
    (note,) = training(dataclasses.replace(FAITHFUL, relax_sequences=True)).notes()
    assert "relax_sequences" not in note


def test_the_anchors_of_the_first_training_stay_when_refinement_draws_anew(monkeypatch) -> None:
    counted = iter([{"anchors": 31}, {"anchors": 40}])
    monkeypatch.setattr(
        "lesiongraph.pipeline.training_run.SequenceSampler",
        lambda *_, **__: SimpleNamespace(counts=next(counted)),
    )
    data = SimpleNamespace(pool=np.arange(5), locations=None, sizes=None)
    run = TrainingRun(FAITHFUL, data, None, None, None, None)
    run._sample(None, "initial feature")
    run._sample(None, "embedding")
    assert run.counts[ANCHORS] == 31
    assert run.details["sequences from embedding"] == {"anchors": 40}
