"""A stage never uses, without a word, what an earlier stage made of other input."""

import json

import pytest
from small_hospital import PATIENTS, TYPED, write_study
from stages import TRAINING

from lesiongraph.workspace import Workspace

DATE = "20210101"


@pytest.fixture
def grown(cli, workspace, tmp_path):
    """The workspace after another study was mined into it."""
    write_study(tmp_path / "more", PATIENTS[5], DATE)
    assert cli("mine", tmp_path / "more", "-w", workspace).code == 0
    return workspace


def test_sources_added_after_embed(cli, grown):
    for verb in (("match",), ("evaluate",), ("search", "L-1")):
        ran = cli(*verb, "-w", grown)
        assert ran.code == 1
        assert "embed" in ran.err
    assert cli("report", "-w", grown).code == 0


def test_lesions_mined_since_are_located_before_training(cli, grown):
    ran = cli("train", "-w", grown, *TRAINING)
    assert ran.code == 1
    assert "lesiongraph locate" in ran.err
    assert "4 lesions" in ran.err


def test_patients_dealt_anew_since_training_are_not_scored(cli, workspace, tmp_path, monkeypatch):
    learned_from = PATIENTS[6]  # until now untyped, in the pool; its next report names types
    monkeypatch.setattr("small_hospital.TYPED", (*TYPED, learned_from))
    write_study(tmp_path / "more", learned_from, DATE)
    assert cli("mine", tmp_path / "more", "-w", workspace).code == 0
    assert cli("locate", "-w", workspace, "--workers", 1).code == 0
    assert cli("embed", "-w", workspace).code == 0
    said = [cli("evaluate", "-w", workspace, "--split", split) for split in ("val", "test")]
    assert any(ran.code == 1 and "dealt to another subset" in ran.err for ran in said)
    assert "dealt to another subset" in cli("report", "-w", workspace).out
    assert cli("train", "-w", workspace, *TRAINING).code == 0
    assert cli("embed", "-w", workspace).code == 0
    assert cli("evaluate", "-w", workspace, "--split", "val").code == 0


def test_an_embedding_of_a_former_model(cli, workspace):
    assert cli("train", "-w", workspace, *TRAINING, "--seed", 5).code == 0
    ran = cli("match", "-w", workspace)
    assert ran.code == 1
    assert "trained again" in ran.err
    assert cli("embed", "-w", workspace).code == 0
    assert cli("match", "-w", workspace).code == 0


def test_patches_cut_by_an_earlier_version_are_cut_anew(cli, workspace, monkeypatch):
    cut = Workspace(workspace).key("patches")
    assert cli("embed", "-w", workspace).code == 0
    assert Workspace(workspace).key("patches") == cut
    monkeypatch.setattr("lesiongraph.imaging.store._LAYOUT", 1000)
    assert cli("embed", "-w", workspace).code == 0
    assert Workspace(workspace).key("patches") != cut


def test_embed_cuts_patches_and_opens_the_trunk_as_training_did(cli, workspace):
    numbers = ("--set", "patch_padding_mm=20", "--init", "scratch")
    assert cli("train", "-w", workspace, *TRAINING, *numbers).code == 0
    stages = json.loads((workspace / "workspace.json").read_text())["stages"]
    ran = cli("embed", "-w", workspace)
    assert (ran.code, ran.err.count("Traceback")) == (0, 0)
    after = json.loads((workspace / "workspace.json").read_text())["stages"]
    for stage in ("patches", "initial", "model"):
        assert after[stage] == stages[stage]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("match", "--t1", "0.5", "--t2", "0.2"), "T2"),
        (("train", "--set", "matching.t2=0.3"), "matching"),
        (("train", "--set", "context_slices=5"), "context_slices"),
    ],
)
def test_numbers_that_cannot_be_used(cli, workspace, arguments, said):
    ran = cli(*arguments, "-w", workspace)
    assert ran.code == 2
    assert said in ran.err


def test_t1_alone_raises_t2_with_it(cli, workspace):
    ran = cli("match", "-w", workspace, "--t1", 5, "--json")
    assert json.loads(ran.out)["details"]["t2"] == 5


def test_the_location_feature_before_locate(cli, small_hospital, tmp_path):
    assert cli("mine", small_hospital / PATIENTS[0], "-w", tmp_path / "w").code == 0
    ran = cli("evaluate", "-w", tmp_path / "w", "--feature", "location")
    assert ran.code == 1
    assert "lesiongraph locate" in ran.err
