"""What a training says of the sequences it learned from."""

from types import SimpleNamespace

import numpy as np
import pytest

from lesiongraph.pipeline.training_run import ANCHORS, TrainingRun
from lesiongraph.recipe import preset


@pytest.mark.parametrize(("anchors", "said"), [(1, True), (9, True), (10, False), (100, False)])
def test_few_anchors_are_told(anchors, said) -> None:
    recipe = preset("paper").embedding
    data = SimpleNamespace(pool=np.arange(100))
    run = TrainingRun(recipe, data, None, None, None, None, counts={ANCHORS: anchors})
    notes = run.notes()
    assert len(notes) == said
    for note in notes:
        for told in (f"{anchors} of 100 pool lesions", "t_low = 0.02", "relax_sequences=true"):
            assert told in note
