import pytest
from pydicom.sr.coding import Code

from lesiongraph.mining.sites import type_of_site


@pytest.mark.parametrize(
    ("value", "scheme", "meaning", "expected"),
    [
        ("39607008", "SCT", "Lung structure", "lung"),
        ("T-28000", "SRT", "Lung", "lung"),
        ("3341006", "SCT", "Right lung", "lung"),
        ("18639004", "SCT", "Left kidney", "kidney"),
        ("62683002", "SCT", "Mediastinal lymph node", "mediastinum"),
        ("51282000", "SCT", "Vertebra", "bone"),
        ("78961009", "SCT", "Spleen", "abdomen"),
        ("25990002", "SCT", "Renal pelvis", ""),
        ("8887007", "SCT", "Hepatic vein", ""),
        ("12738006", "SCT", "Brain", ""),
    ],
)
def test_a_coded_site_gives_the_type_its_organ_belongs_to(value, scheme, meaning, expected):
    assert type_of_site(Code(value, scheme, meaning)) == expected
