import numpy as np
import pytest
from rulers import Ruler, ruler_atlas, slices_scoring

from lesiongraph.bodypart import CrossSection, cross_section, locate_series, place_names, remarked


def ellipse(width_mm, depth_mm, spacing=(1.0, 1.0), size=(500, 500), centre=(0.5, 0.5)):
    rows, columns = np.ogrid[: size[0], : size[1]]
    y = (rows - centre[0] * size[0]) * spacing[0] / (depth_mm / 2)
    x = (columns - centre[1] * size[1]) * spacing[1] / (width_mm / 2)
    return y**2 + x**2 <= 1


def trunk(**where):
    return np.where(ellipse(340, 220, **where), 40, -1000).astype(np.int16)


def head():
    hu = np.where(ellipse(155, 190), 40, -1000)
    hu[ellipse(145, 180)] = 900
    hu[ellipse(130, 165)] = 35
    return hu.astype(np.int16)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 0.7), (2.0, 1.0)])
def test_width_and_depth_in_mm(spacing):
    size = (round(500 / spacing[0]), round(500 / spacing[1]))
    hu = trunk(spacing=spacing, size=size)
    hu[-3:, 100:300] = 200  # a table
    found = cross_section(hu, spacing)
    assert found.width_mm == pytest.approx(340, abs=12)
    assert found.depth_mm == pytest.approx(220, abs=12)
    assert (found.narrow, found.head, found.cut, found.small_view) == (False, False, False, False)


def test_a_skull_encloses_a_brain_and_a_thigh_bone_no_thigh():
    found = cross_section(head(), (1, 1))
    assert (found.head, found.narrow) == (True, True)
    thigh = np.where(ellipse(170, 170), 40, -1000)
    thigh[ellipse(34, 34)] = 1200
    thigh[ellipse(20, 20)] = -80
    found = cross_section(thigh.astype(np.int16), (1, 1))
    assert (found.head, found.narrow) == (False, True)


def test_what_the_view_cuts_is_not_narrow():
    hu = trunk()[180:320, 100:250]  # 140 mm by 150 mm of a trunk
    found = cross_section(hu, (1, 1))
    assert (found.cut, found.narrow, found.measured, found.small_view) == (True, False, False, True)


def test_without_spacing_or_body_nothing_is_known():
    for spacing in ((np.nan, 1), (0, 1), (-1, 1)):
        assert np.isnan(cross_section(trunk(), spacing).width_mm)
    air = cross_section(np.full((100, 100), -1000, np.int16), (1, 1))
    assert (air.narrow, air.measured, air.head) == (False, False, False)


WIDE = CrossSection(340, 220, 500, False)
THIN = CrossSection(150, 190, 500, False)
SKULL = CrossSection(150, 190, 500, False, enclosed=0.6)
SMALL = CrossSection(140, 140, 140, True)


def located(sections, start=0.5):
    position = np.arange(0, 140, 5.0)
    scores = slices_scoring(start + position / 140)
    whole = [sections[i * len(sections) // len(position)] for i in range(len(position))]
    return locate_series(Ruler(), scores, position, ruler_atlas(), whole)


def test_trunks_are_left_alone():
    assert set(located([WIDE]).flag) == {""}


def test_a_series_of_a_head_is_told_and_keeps_its_scores():
    found, trusted = located([THIN, SKULL, SKULL, THIN]), located([WIDE])
    assert found.flags == ("head, neck or limb only",)
    assert found.z == pytest.approx(trusted.z)
    skulls = np.array(["head" in flag.split(";") for flag in found.flag])
    assert skulls.mean() == pytest.approx(0.5, abs=0.05)
    assert np.isnan(found.z_sd[skulls]).all()
    assert found.confidence[skulls].max() <= 0.1
    assert found.confidence.max() <= 0.5


def test_narrow_slices_in_the_trunk_are_told_and_in_the_neck_not():
    found = located([THIN, THIN, WIDE, WIDE, WIDE, WIDE, WIDE], start=0.2)  # z from 0.1, neck to 0.2
    told = np.array(["too narrow for its z" in flag for flag in found.flag])
    assert not told.any()
    found = located([WIDE, WIDE, THIN, WIDE])
    told = np.array(["too narrow for its z" in flag for flag in found.flag])
    assert told.mean() == pytest.approx(0.25, abs=0.05)
    assert found.flags == ()


def test_a_small_view_halves_the_confidence():
    found = located([SMALL])
    assert set(found.flag) == {"small part of the body in view"}
    assert found.confidence == pytest.approx(0.5 * located([WIDE]).confidence)


def test_a_section_for_each_slice_is_needed():
    with pytest.raises(ValueError, match="expected 1, got 2"):
        locate_series(Ruler(), slices_scoring([1.0]), [0.0], None, [WIDE, WIDE])


# --- what a slice is called -----------------------------------------------------------------------------


def test_a_head_is_called_a_head_and_a_limb_nothing():
    atlas = ruler_atlas()
    plain = located([WIDE])
    assert place_names(plain, atlas) == [(atlas.region(z), str(atlas.nearest_landmark(z))) for z in plain.z]
    found = located([WIDE, SKULL, THIN, WIDE])
    names = place_names(found, atlas)
    for (region, landmark), z, text in zip(names, found.z, found.flag, strict=True):
        told = text.split(";")
        if "head" in told:
            assert (region, landmark) == ("head", "")
        elif "too narrow for its z" in told:
            assert (region, landmark) == ("", "")
        else:
            assert (region, landmark) == (atlas.region(z), str(atlas.nearest_landmark(z)))
    assert {"head", ""} <= {region for region, _ in names}
    assert not {region for region, _ in place_names(located([THIN]), atlas)} & {"chest", "abdomen", "pelvis"}


def test_a_remark_stands_before_the_others_and_changes_no_number():
    found = located([WIDE, SKULL])
    told = remarked(found, "pixel size unknown")
    assert told.flags == ("pixel size unknown", *found.flags)
    assert [text.split(";")[0] for text in told.flag] == ["pixel size unknown"] * len(found.flag)
    for name in ("z", "z_sd", "confidence"):
        np.testing.assert_array_equal(getattr(told, name), getattr(found, name))
    assert remarked(found, "") is found
