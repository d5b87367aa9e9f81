from pydicom import Dataset

from lesiongraph.mining.arrival import Arrival, AsItIs


def test_as_it_is_changes_neither_data_set_nor_uid() -> None:
    arrival: Arrival = AsItIs()
    dataset = Dataset()
    dataset.PatientID = "P1"
    assert arrival.admit(dataset) is dataset
    assert dataset.PatientID == "P1"
    assert arrival.uid("1.2.3") == "1.2.3"
