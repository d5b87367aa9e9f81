import math

import numpy as np
import pytest
import torch

from lesiongraph.embedding import LesionEmbedder
from lesiongraph.embedding.place import encode_place, place_inputs

MAPS = [
    torch.rand(3, channels, 2, 2, generator=torch.Generator().manual_seed(0)) for channels in (2, 3, 4, 5)
]
PLACES = torch.tensor([[0.2, 0.5, 0.8, 30.0, 20.0], [0.9, 0.1, 0.4, 8.0, 6.0], [math.nan] * 5])


def head(place_width: int) -> LesionEmbedder:
    torch.manual_seed(1)
    return LesionEmbedder((2, 3, 4, 5), roi_size=2, fc_width=6, embedding_width=7, place_width=place_width)


def test_encoding_against_a_slow_loop() -> None:
    found = encode_place(PLACES[:2])
    for row, (x, y, z, long_mm, short_mm) in enumerate(PLACES[:2].tolist()):
        waves = []
        for value in (x, y, z):
            turns = [value * n * math.pi for n in (1, 2, 4)]
            waves += [math.sin(turn) for turn in turns] + [math.cos(turn) for turn in turns]
        logs = [(math.log(mm) - math.log(15.6)) / 0.7 for mm in (long_mm, short_mm)]
        np.testing.assert_allclose(found[row], waves + logs + [1] * 5, atol=1e-6)
    assert found.shape[1] == place_inputs()


def test_unknown_numbers_are_zeros_with_a_mark() -> None:
    assert (encode_place(PLACES[2:]) == 0).all()
    known = encode_place(torch.tensor([[0.2, math.nan, 0.8, 30.0, math.nan]]))
    assert (known[0, 6:12] == 0).all()
    assert known[0, -5:].tolist() == [1, 0, 1, 1, 0]


def test_a_head_told_places_uses_them_and_survives_their_absence() -> None:
    told = head(4)
    vectors = told(MAPS, PLACES)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3))
    moved = PLACES.clone()
    moved[0, 2] = 0.1
    assert not torch.allclose(told(MAPS, moved)[0], vectors[0])
    assert torch.allclose(told(MAPS, moved)[1:], vectors[1:])


def test_a_head_that_needs_places_refuses_to_do_without() -> None:
    with pytest.raises(ValueError, match=r"expected places \(3, 5\), got None"):
        head(4)(MAPS)
    with pytest.raises(ValueError, match=r"got \(3, 4\)"):
        head(4)(MAPS, PLACES[:, :4])


def test_the_paper_s_head_never_looks_at_places() -> None:
    plain = head(0)
    assert torch.equal(plain(MAPS), plain(MAPS, PLACES))
