"""One report that a PACS was sent, or is being sent: what the catalogue's ledger keeps of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SentReport:
    """One of a study's reports at a destination, in the order in which they went there.

    Attributes
    ----------
    destination : str
        Its address, without user or secret.
    study : str
        UID as the workspace knows it.
    number : int
        1 for a study's first report there, then 2, ….
    sop_instance_uid : str
    digest : str
        Names what the report says.
    predecessor : str
        UID of the report that it follows, "" where it follows none.
    sent_by : str
        Machine and workspace.
    sent_at : str
        UTC, ISO 8601; of a claim, when it was made.
    claimed_until : float, optional
        Seconds since 1970: until then its sender may be sending it. None once the destination was seen to
        hold it.
    """

    destination: str
    study: str
    number: int
    sop_instance_uid: str
    digest: str
    predecessor: str = ""
    sent_by: str = ""
    sent_at: str = ""
    claimed_until: float | None = None

    @property
    def is_claim(self) -> bool:
        """Whether nobody has seen yet that the destination holds it."""
        return self.claimed_until is not None
