"""A study added to an archive: only what is new is read again, and the result is as if all had been."""

import json

import numpy as np
import pandas as pd
import pytest
from small_hospital import PATIENTS, write_hospital, write_study

from lesiongraph.pipeline.vectors import read_vectors
from lesiongraph.workspace import Workspace


@pytest.fixture
def sources(tmp_path, small_hospital):
    write_study(tmp_path / "more", PATIENTS[5], "20210101")
    return small_hospital, tmp_path / "more"


def taken(cli, workspace, *sources):
    """Mine, locate and embed by the packaged embedder; the counts of each run."""
    assert cli("mine", *sources, "-w", workspace).code == 0
    counts = {}
    for verb, *options in (("locate", "--workers", 1), ("embed",)):
        ran = cli(verb, *options, "-w", workspace, "--json")
        assert ran.code == 0, ran.err
        counts |= json.loads(ran.out)["counts"]
    return counts


@pytest.fixture
def grown_and_whole(cli, tmp_path, sources):
    grown, whole = tmp_path / "grown", tmp_path / "whole"
    first = taken(cli, grown, sources[0])
    second = taken(cli, grown, *sources)
    return first, second, taken(cli, whole, *sources), Workspace(grown), Workspace(whole)


def test_a_grown_archive_gives_what_a_whole_one_gives(grown_and_whole):
    *_, grown, whole = grown_and_whole
    for name in ("locations", "series_locations", "landmarks"):
        tables = [w.open("locations", "locate").read_table(name) for w in (grown, whole)]
        pd.testing.assert_frame_equal(*tables)
    vectors = [read_vectors(w, "embedding") for w in (grown, whole)]
    assert list(vectors[0].lesions.lesion_id) == list(vectors[1].lesions.lesion_id)
    # another batch pads and rounds otherwise, no more than that
    np.testing.assert_allclose(vectors[0].matrix, vectors[1].matrix, atol=2e-5)


def test_only_what_is_new_is_read_again(grown_and_whole):
    first, second, all_at_once, *_ = grown_and_whole
    assert first["series taken over, unchanged"] == 0
    assert first["lesions embedded before, unchanged"] == 0
    new_slices = second["slices scored"]
    assert 0 < new_slices == all_at_once["slices scored"] - first["slices scored"]
    assert second["series taken over, unchanged"] == first["series located"]
    assert second["patches taken over, unchanged"] == first["patches"] < second["patches"]
    assert second["lesions embedded before, unchanged"] == first["lesions embedded"]


def test_other_weights_take_nothing_over(cli, tmp_path, sources):
    from lesiongraph.bodypart import SsbrModel

    taken(cli, tmp_path / "w", sources[0])
    model = SsbrModel.load()
    model.name = "another"
    model.z_map = type(model.z_map)(model.z_map.slope * 0.9, model.z_map.offset)
    model.save(tmp_path / "other.safetensors")
    ran = cli("locate", "-w", tmp_path / "w", "--weights", tmp_path / "other.safetensors", "--json")
    assert json.loads(ran.out)["counts"]["series taken over, unchanged"] == 0


def test_a_corrected_mark_is_placed_and_cut_again(cli, tmp_path, sources):
    """The same series, one box moved: its patch is cut anew, the others are taken over."""
    from lesiongraph.pipeline.catalogue import TABLES, read_catalogue

    workspace = Workspace(tmp_path / "w")
    before = taken(cli, tmp_path / "w", sources[0])
    workspace = Workspace(tmp_path / "w")
    catalogue = read_catalogue(workspace)
    row = catalogue.lesions.index[catalogue.lesions.status == "kept"][0]
    catalogue.lesions.loc[row, ["x0", "x1"]] += 3.0
    with workspace.lock(), workspace.write("catalogue", "moved") as folder:
        for name in ("lesions", "series", "landmarks"):
            folder.write_table(name, getattr(catalogue, name), TABLES[name])
        folder.take_file(catalogue.slices.path)
        folder.write_json("sources", [])
    counts = {}
    for verb in ("locate", "embed"):
        ran = cli(verb, "-w", tmp_path / "w", "--json")
        counts |= json.loads(ran.out)["counts"]
    assert counts["patches taken over, unchanged"] == before["patches"] - 1
    assert counts["series taken over, unchanged"] == before["series located"] - 1


def test_a_series_that_gained_a_slice_is_located_anew(cli, tmp_path):
    write_hospital(tmp_path / "old", ("SMALL-1", "SMALL-5"))
    late = sorted((tmp_path / "old" / "SMALL-1" / "20200110").glob("ct-*"))[5]
    held = late.read_bytes()
    late.unlink()
    first = taken(cli, tmp_path / "w", tmp_path / "old")
    late.write_bytes(held)
    second = taken(cli, tmp_path / "w", tmp_path / "old")
    assert second["series taken over, unchanged"] == first["series located"] - 1
    assert second["patches taken over, unchanged"] < first["patches"]
