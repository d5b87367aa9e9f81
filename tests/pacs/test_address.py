from datetime import date

import pytest

from lesiongraph.errors import UsageError
from lesiongraph.mining.pacs.address import (
    DateWindow,
    PacsAddress,
    PacsSettings,
    is_pacs_address,
    secrets_from,
)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("dicomweb+http://pacs:8042/dicom-web/", "http://pacs:8042/dicom-web"),
        ("dicomweb+https://pacs/dcm/aets/A/rs", "https://pacs:443/dcm/aets/A/rs"),
        ("dicomweb+http://[::1]:8042/dicom-web", "http://[::1]:8042/dicom-web"),
    ],
)
def test_a_dicomweb_address(text: str, url: str) -> None:
    address = PacsAddress.parse(text)
    assert address.url == url
    assert str(address) == f"dicomweb+{url}"
    assert PacsAddress.parse(str(address)) == address


def test_a_dimse_address() -> None:
    address = PacsAddress.parse("dimse://Main_PACS@pacs.local:11112")
    assert (address.called_ae, address.host, address.port) == ("Main_PACS", "pacs.local", 11112)
    assert str(address) == "dimse://Main_PACS@pacs.local:11112"
    assert PacsAddress.parse("dimse://A@h").port == 104


@pytest.mark.parametrize(
    "text",
    [
        "dicomweb+http://ann:s3cret@pacs/dicom-web",
        "dimse://AET:s3cret@pacs:104",
        "dimse://pacs:104",
        "dimse://AN_AE_TITLE_TOO_LONG@pacs",
        "dicomweb+http:///dicom-web",
        "dicomweb+http://pacs:port/dicom-web",
        "dicomweb+http://pacs/dicom-web?token=s3cret",
        "https://s3cret@pacs/dicom-web",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_a_secret(text: str) -> None:
    with pytest.raises(UsageError, match="expected") as refused:
        PacsAddress.parse(text)
    assert "s3cret@" not in str(refused.value)
    assert ":s3cret" not in str(refused.value)


def test_which_sources_are_a_pacs() -> None:
    assert is_pacs_address("dimse://A@h:1")
    assert not is_pacs_address("/archive/dimse")
    assert not is_pacs_address("dicomweb+http")


def test_settings_hide_secrets_and_check_numbers() -> None:
    shown = repr(PacsSettings(token="s3cret")) + repr(PacsSettings(user="ann", password="s3cret"))
    assert "s3cret" not in shown
    for wrong in ({"page_size": 0}, {"retries": -1}, {"timeout_s": 0}, {"token": "a", "user": "b"}):
        with pytest.raises(UsageError):
            PacsSettings(**wrong)


def test_secrets_come_from_options_or_the_environment() -> None:
    environment = {"LESIONGRAPH_PACS_TOKEN": "T", "LESIONGRAPH_PACS_PASSWORD": "P"}
    assert secrets_from(environment) == {"token": "T", "user": "", "password": ""}
    assert secrets_from(environment, user="ann") == {"token": "", "user": "ann", "password": "P"}
    assert secrets_from({}, user="ann:x:y")["password"] == "x:y"


def test_a_window_as_dicom_matches_it() -> None:
    assert DateWindow().dicom == ""
    assert DateWindow(date(2020, 1, 2), date(2020, 3, 4)).dicom == "20200102-20200304"
    assert DateWindow(last=date(2020, 3, 4)).dicom == "-20200304"
    with pytest.raises(UsageError, match="begins before"):
        DateWindow(date(2021, 1, 1), date(2020, 1, 1))
