"""The embedder inside the package: used where nothing was trained, and gone on from by `improved`."""

import json

import numpy as np
import pytest
from stages import TRAINING

from lesiongraph.embedding import load_packaged_embedder, packaged_embedder_info
from lesiongraph.pipeline.vectors import read_vectors
from lesiongraph.recipe import preset
from lesiongraph.workspace import Workspace


@pytest.fixture
def untrained(workspace):
    """The small workspace as it was before `train`."""
    described = json.loads((workspace / "workspace.json").read_text())
    for stage in ("model", "embedding", "groups", "initial"):
        del described["stages"][stage]
    (workspace / "workspace.json").write_text(json.dumps(described))
    return workspace


def test_lesions_are_embedded_without_training(cli, untrained):
    ran = cli("embed", "-w", untrained, "--json")
    assert ran.code == 0
    told = json.loads(ran.out)
    assert "packaged embedder" in [weights["name"] for weights in told["weights"]]
    assert any("no trained model" in note for note in told["notes"])
    vectors = read_vectors(Workspace(untrained), "embedding")
    assert vectors.matrix.shape == (len(vectors.lesions), 1024)
    np.testing.assert_allclose(np.linalg.norm(vectors.matrix, axis=1), 1, atol=1e-5)
    lesion = vectors.lesions.lesion_id[0]
    for verb in (("search", lesion), ("match",), ("evaluate", "--split", "val"), ("report",)):
        assert cli(*verb, "-w", untrained).code == 0
    assert "Classification (Fig. 7)" not in cli("report", "-w", untrained).out  # as a section left out


def test_embedded_again_it_is_done_and_after_training_it_is_stale(cli, untrained):
    assert cli("embed", "-w", untrained).code == 0
    assert json.loads(cli("embed", "-w", untrained, "--json").out)["already_done"]
    assert cli("train", "-w", untrained, "--preset", "demo", *TRAINING).code == 0
    ran = cli("match", "-w", untrained)
    assert ran.code == 1
    assert "trained again" in ran.err


def test_another_location_embeds_anew(cli, untrained):
    assert cli("embed", "-w", untrained).code == 0
    before = read_vectors(Workspace(untrained), "embedding").matrix.copy()
    workspace = Workspace(untrained)
    folder = workspace.open("locations", "locate")
    table = folder.read_table("locations")
    others = {name: folder.read_table(name) for name in ("series_locations",)}
    table["z"] = 1 - table["z"]
    with workspace.lock(), workspace.write("locations", "moved") as written:
        written.write_table("locations", table)
        for name, other in others.items():
            written.write_table(name, other)
    assert cli("embed", "-w", untrained).code == 0
    after = read_vectors(Workspace(untrained), "embedding").matrix
    assert not np.allclose(before, after, atol=1e-3)


def test_improved_goes_on_from_it(cli, untrained):
    # a rate of 0 changes nothing: the trained embedder must then be the packaged one
    still = ("--set", "learning_rate=0", "--set", "learning_rate_low=0")
    ran = cli("train", "-w", untrained, "--preset", "improved", *TRAINING, *still, "--json")
    assert ran.code == 0
    assert "pseudo-labels from packaged embedding" in json.loads(ran.out)["details"]
    assert cli("embed", "-w", untrained).code == 0
    trained = read_vectors(Workspace(untrained), "embedding").matrix.copy()
    untrained_again = json.loads((untrained / "workspace.json").read_text())
    for stage in ("model", "embedding"):
        del untrained_again["stages"][stage]
    (untrained / "workspace.json").write_text(json.dumps(untrained_again))
    assert cli("embed", "-w", untrained).code == 0
    np.testing.assert_allclose(read_vectors(Workspace(untrained), "embedding").matrix, trained, atol=1e-5)


def test_another_network_cannot_go_on_from_it(cli, untrained):
    ran = cli("train", "-w", untrained, "--preset", "improved", "--set", "fc_width=64", *TRAINING)
    assert ran.code == 2
    assert "fc_width=256" in ran.err
    assert "start=fresh" in ran.err


def test_the_file_says_what_it_is():
    about, sha256 = packaged_embedder_info()
    model = load_packaged_embedder()
    assert len(sha256) == 64
    assert about["trunk"] == model.trunk.variant.name == preset("improved").embedding.trunk
    assert about["trunk_sha256"] == model.trunk.sha256


def test_a_row_that_cannot_go_on_from_it_is_refused_before_any_training(cli, untrained):
    ran = cli("reproduce", "-w", untrained, "--preset", "improved", "--seeds", 1, *TRAINING)
    assert ran.code == 2
    assert "maps=" in ran.err
    assert not list(untrained.glob("run_*"))
    assert (
        cli(
            "reproduce", "-w", untrained, "--preset", "improved", "--rows", "all", "--seeds", 1, *TRAINING
        ).code
        == 0
    )
