"""Numbers by name: choices among names, and recipes that an earlier version wrote."""

import dataclasses

import pytest

from lesiongraph.errors import UsageError
from lesiongraph.recipe import EmbeddingRecipe, override, preset


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("cues", "size,type", ("type", "size")),
        ("cues", "location", ("location",)),
        ("maps", "conv5", ("conv5",)),
        ("maps", "conv5,conv4", ("conv4", "conv5")),
        ("labeller", "balanced", "balanced"),
        ("abstain", "0.9", 0.9),
    ],
)
def test_a_choice_is_set_in_the_order_of_the_paper(key, text, value):
    assert getattr(override(preset("demo"), {key: text}).embedding, key) == value
    twice = override(override(preset("demo"), {key: text}), {key: text})
    assert getattr(twice.embedding, key) == value


def test_a_choice_can_be_taken_back():
    narrowed = override(preset("demo"), {"cues": "size"})
    assert override(narrowed, {"cues": "type,location,size"}) == preset("demo")


@pytest.mark.parametrize(
    ("key", "text"),
    [("cues", ""), ("cues", "type,type"), ("cues", "colour"), ("maps", "conv1"), ("labeller", "knn"),
     ("abstain", "0"), ("abstain", "1.2"), ("abstain", "much")],
)  # fmt: skip
def test_what_cannot_be_is_refused(key, text):
    with pytest.raises(UsageError, match=key):
        override(preset("demo"), {key: text})


def test_a_recipe_survives_json_and_an_older_one_gets_the_defaults():
    recipe = EmbeddingRecipe(cues=("type",), maps=("conv5",), abstain=0.9)
    stated = {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(recipe).items()}
    assert EmbeddingRecipe.from_stated(stated) == recipe
    older = {
        name: value for name, value in stated.items() if name not in ("cues", "maps", "abstain", "labeller")
    }
    assert EmbeddingRecipe.from_stated(older) == EmbeddingRecipe()
    with pytest.raises(UsageError, match="newer version"):
        EmbeddingRecipe.from_stated(stated | {"depth": 3})
