"""A secret → pseudonyms, date shifts and tokens: the same input gives the same output, in every run.

Everything is a keyed hash (HMAC-SHA-256): without the secret neither the original can be worked out nor a
guess be checked. A plain hash would allow the latter, and patient ids are few enough to try them all.
"""

from __future__ import annotations

import base64
import hmac

from lesiongraph.mining.deidentify.moments import Shift

NEAREST_SHIFT_DAYS = 3653  # ours: ten years at least, so that no shifted date is mistaken for a true one
FURTHEST_SHIFT_DAYS = 10958  # and thirty at most
_SLOWEST, _FASTEST = 0.5, 0.9  # ours: what is left of a day when its times are squeezed
_REMEMBERED = 200_000  # pseudonyms kept in memory: a study has some hundreds
STANDARD_ROOT = "1.2.840.10008."  # UIDs registered by DICOM (PS3.6 Annex A): classes, syntaxes, atlases


class Pseudonyms:
    """Names and shifts that follow from a secret.

    Parameters
    ----------
    secret : bytes
        At least 16 bytes from the system's random source.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._uids: dict[str, str] = {}
        self._shifts: dict[str, Shift] = {}

    def uid(self, original: str) -> str:
        """Return the UID that stands for `original`, in the form 2.25.<UUID> (PS3.5 B.2)."""
        known = self._uids.get(original)
        if known is None:
            if len(self._uids) >= _REMEMBERED:
                self._uids.clear()
            number = int.from_bytes(self._digest("uid", original)[:16], "big")
            number = number & ~(0xF << 76) & ~(0x3 << 62) | (0x8 << 76) | (0x2 << 62)  # UUID version 8
            known = self._uids[original] = f"2.25.{number}"
        return known

    def patient_id(self, original: str) -> str:
        """Return the patient id that stands for `original`; one without id stays without."""
        return "P-" + self.token("patient", original, 16) if original else ""

    def token(self, kind: str, original: str, length: int = 10) -> str:
        """Return `length` capital letters and digits that stand for `original` among its kind."""
        return base64.b32encode(self._digest(kind, original)).decode("ascii")[:length]

    def shift(self, patient: str) -> Shift:
        """Return how a patient's dates and times are changed; `patient` is the original patient id."""
        known = self._shifts.get(patient)
        if known is None:
            if len(self._shifts) >= _REMEMBERED:
                self._shifts.clear()
            known = self._shifts[patient] = self._make_shift(patient)
        return known

    def _make_shift(self, patient: str) -> Shift:
        drawn = self._digest("shift", patient)
        days = int.from_bytes(drawn[:8], "big") % (FURTHEST_SHIFT_DAYS - NEAREST_SHIFT_DAYS + 1)
        share = _SLOWEST + (_FASTEST - _SLOWEST) * int.from_bytes(drawn[8:16], "big") / 2**64
        start_s = (1 - share) * 86_400 * int.from_bytes(drawn[16:24], "big") / 2**64
        return Shift(days=-(NEAREST_SHIFT_DAYS + days), share=share, start_s=start_s)

    def _digest(self, kind: str, original: str) -> bytes:
        return hmac.digest(self._secret, f"{kind}\x1f{original}".encode("utf-8", "surrogatepass"), "sha256")


def is_standard_uid(uid: str) -> bool:
    """Whether a UID is registered by DICOM, and so says nothing about a person or place."""
    return uid.startswith(STANDARD_ROOT)
