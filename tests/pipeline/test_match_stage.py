"""`match` with every matcher, its limits from validation patients or by default, and what it says of each."""

import json

import pandas as pd
import pytest
from small_hospital import PATIENTS, write_study

MATCHERS = ("algorithm1", "mutual-nearest", "optimal", "exclusive")


def marks(workspace):
    table = pd.read_parquet(next(workspace.glob("catalogue-*/lesions.parquet")))
    return table[table.status == "kept"].reset_index(drop=True)


@pytest.fixture
def truth(workspace, tmp_path):
    """The identity of each mark: small hospital marks the same four lesions in each study, in one order."""
    table = marks(workspace)
    order = table.groupby(["patient_id", "study_instance_uid"]).source_item.rank(method="first").astype(int)
    table["lesion"] = table.patient_id + "-" + order.astype(str)
    path = tmp_path / "truth.csv"
    table[["lesion_id", "lesion"]].to_csv(path, index=False)
    return path


def with_followed_validation(cli, workspace, tmp_path):
    """Give the validation patient a second study, and take the workspace through the stages again."""
    patient = marks(workspace).query("subset == 'validation'").patient_id.iloc[0]
    write_study(tmp_path / "more", patient, "20210101", shift=1)
    assert cli("mine", tmp_path / "more", "-w", workspace).code == 0
    for verb in ("locate", "embed"):
        assert cli(verb, "-w", workspace).code == 0
    return patient


@pytest.mark.parametrize("matcher", MATCHERS)
def test_every_matcher_writes_the_same_columns_and_says_its_limits(cli, workspace, tmp_path, matcher):
    out = tmp_path / "m.csv"
    ran = cli("match", "-w", workspace, "--matcher", matcher, "--csv", out, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["details"]["matcher"] == matcher
    assert any("nothing calibrates it" in note for note in found["notes"])
    assert any(note.startswith("limits: ") for note in found["notes"])
    rows = pd.read_csv(out)
    assert rows.probability.isna().all()
    kept = marks(workspace)
    assert sorted(rows.lesion) == sorted(kept.lesion_id)
    twice = kept.groupby("patient_id").study_instance_uid.nunique()
    followed = rows[rows.patient.isin(twice[twice == 2].index)]
    assert (followed.state_before.notna() ^ followed.state_after.notna()).all()  # one neighbour each
    alone = rows[~rows.patient.isin(twice[twice == 2].index)]
    assert alone[["state_before", "state_after"]].isna().all(axis=None)
    states = {name: n for name, n in found["counts"].items() if name.startswith("seen from")}
    assert sum(states.values()) == len(followed)


def test_states_agree_with_the_groups(cli, workspace):
    assert cli("match", "-w", workspace, "--matcher", "exclusive").code == 0
    folder = next(workspace.glob("groups-*"))
    changes, rows = (pd.read_parquet(folder / f"{name}.parquet") for name in ("changes", "groups"))
    group = rows.set_index("lesion").group
    for row in changes[changes.state == "matched"].itertuples():
        assert {group[partner] for partner in row.partners.split(";")} == {row.group}
    lonely = changes[changes.state.isin(["new", "gone", "not covered"])]
    assert (lonely.partners == "").all()
    spans = rows.groupby(["patient", "group", "study"]).size()
    assert (spans == 1).all()  # exclusive linkage at a limit below any merge


@pytest.mark.parametrize("matcher", ["algorithm1", "exclusive"])
def test_limits_and_probabilities_from_validation_patients(cli, workspace, tmp_path, matcher, request):
    with_followed_validation(cli, workspace, tmp_path)
    truth = request.getfixturevalue("truth")
    # every size and x is the same in both studies of this hospital: no spread to measure
    asked = ("match", "-w", workspace, "--truth", truth, "--feature", "initial", "--cues", "appearance")
    ran = cli(*asked, "--matcher", matcher, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert "chosen on 1 validation patients: 4 true pairs" in found["details"]["origin"]
    assert json.loads(cli(*asked, "--matcher", matcher, "--json").out)["already_done"]
    rows = pd.read_parquet(next(workspace.glob("groups-*/groups.parquet")))
    if found["details"]["calibration"] is None:
        assert rows.probability.isna().all()
    else:
        assert rows.probability.dropna().between(0, 1).all()
    report = cli("report", "-w", workspace)
    assert report.code == 0, report.err
    assert "chosen on 1 validation patients" in (workspace / "report" / "report.html").read_text()


def test_a_truth_that_holds_no_validation_pair_is_refused(cli, workspace, truth, tmp_path):
    ran = cli("match", "-w", workspace, "--truth", truth)
    assert (ran.code, "validation patient" in ran.err) == (1, True), ran.err
    other = tmp_path / "other.csv"
    other.write_text("tracking_uid,lesion\n1.2.3,a\n")
    ran = cli("match", "-w", workspace, "--truth", other)
    assert (ran.code, "--truth" in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--matcher", "guess"), "exclusive"), (("--cues", "smell"), "appearance"), (("--cues", ""), "size")],
)
def test_unknown_names_are_usage_errors(cli, workspace, options, said):
    ran = cli("match", "-w", workspace, *options)
    assert (ran.code, said in ran.err) == (2, True)


def test_without_an_embedding_of_the_cost_location_and_size_serve(cli, workspace):
    ran = cli("match", "-w", workspace, "--matcher", "exclusive", "--cues", "location,size", "--json")
    details = json.loads(ran.out)["details"]
    assert details["cues"] == ["location", "size"]
    assert details["t2"] == 3.4  # 1.7 times the root of four terms
    assert PATIENTS[6] in set(pd.read_parquet(next(workspace.glob("groups-*/groups.parquet"))).patient)


def pair_of(workspace, patients, groups: pd.Series, *, together: bool) -> tuple[str, str]:
    """Two marks of one of these patients, from two studies: matched, or not, if the matcher has such."""
    for patient in patients:
        followed = marks(workspace).query(f"patient_id == '{patient}'")
        first, second = (part.lesion_id.tolist() for _, part in followed.groupby("study_date"))
        for pair in ((a, b) for a in first for b in second):
            if (groups[pair[0]] == groups[pair[1]]) == together:
                return pair
    return pair


@pytest.mark.parametrize("matcher", MATCHERS)
def test_matches_confirmed_and_broken_by_hand(cli, workspace, tmp_path, matcher):
    def groups() -> pd.Series:
        ran = cli("match", "-w", workspace, "--matcher", matcher, "--csv", tmp_path / "m.csv", "--json")
        assert ran.code == 0, ran.err
        reports.append(json.loads(ran.out))
        return pd.read_csv(tmp_path / "m.csv").set_index("lesion").group

    reports: list[dict] = []
    before = groups()
    apart = pair_of(workspace, PATIENTS[4:6], before, together=False)
    mates = pair_of(workspace, PATIENTS[6:], before, together=True)
    for verb, pair in (("match", apart), ("split", mates)):
        assert cli("decide", verb, *pair, "-w", workspace, "--by", "Ann").code == 0
    after = groups()
    assert after[apart[0]] == after[apart[1]]
    assert after[mates[0]] != after[mates[1]]
    assert not after.equals(before)
    assert reports[1]["already_done"] is False
    assert "1 pairs joined and 1 kept apart by hand" in reports[1]["notes"]
    for number in (1, 2):
        assert cli("decide", "undo", number, "-w", workspace, "--by", "Ann").code == 0
    pd.testing.assert_series_equal(groups(), before)
