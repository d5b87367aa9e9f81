"""The way back, for write-back into the PACS: workspace UIDs, patient ids and dates → the originals."""

from __future__ import annotations

from lesiongraph.errors import UnknownOriginalError
from lesiongraph.mining.deidentify.key_file import KeyFile
from lesiongraph.mining.deidentify.pseudonyms import Pseudonyms, is_standard_uid


class Originals:
    """Looks up what pseudonyms stand for.

    Parameters
    ----------
    key : KeyFile
        Open; its owner closes it.
    """

    def __init__(self, key: KeyFile) -> None:
        self._key = key
        self._pseudonyms = Pseudonyms(key.secret)

    def uid(self, workspace_uid: str) -> str:
        """Return the source's UID of an object that the workspace knows as `workspace_uid`.

        Raises
        ------
        UnknownOriginalError
            If the key file does not hold it.
        """
        if is_standard_uid(workspace_uid):
            return workspace_uid
        return self._look_up("uids", workspace_uid)

    def patient_id(self, pseudonym: str) -> str:
        """Return the source's patient id.

        Raises
        ------
        UnknownOriginalError
            If the key file does not hold it.
        """
        return self._look_up("patients", pseudonym)

    def date(self, pseudonym: str, moved: str) -> str:
        """Return the original of a patient's moved date (YYYYMMDD or YYYY-MM-DD), as YYYYMMDD.

        Raises
        ------
        UnknownOriginalError
            If the key file does not hold the patient.
        """
        return self._pseudonyms.shift(self.patient_id(pseudonym)).back(moved)

    def _look_up(self, table: str, pseudonym: str) -> str:
        original = self._key.original(table, pseudonym)
        if original is None:
            raise UnknownOriginalError(pseudonym, f"the key {self._key.key_id} ({self._key.path})")
        return original
