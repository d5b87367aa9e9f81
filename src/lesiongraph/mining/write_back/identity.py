"""UIDs made from what they stand for, so that the same thing has the same UID wherever it is made.

Each is a UUID of version 5 under 2.25 (PS3.5 B.2): no registered root, no clock, nothing to be read back.
"""

from __future__ import annotations

import uuid

_NAMESPACE = uuid.UUID("5d0b1f0e-3c7a-5a53-9a43-2f6a9c1d7e58")


def made_uid(*words: str) -> str:
    """Return the UID of these words."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(31).join(words)).int}"


DEVICE_UID = made_uid("device")


def series_uid(study_instance_uid: str) -> str:
    """Return the UID of the one series that holds our reports of a study."""
    return made_uid("series", study_instance_uid)


def report_uid(study_instance_uid: str, digest: str, predecessor: str) -> str:
    """Return the UID of a report: of its study, what it says, and which report of ours it follows.

    The predecessor counts, since a report may have to say again what an earlier one said before the last.
    """
    return made_uid("report", study_instance_uid, digest, predecessor)


def tracking_uid(anchor: str, attempt: int = 0) -> str:
    """Return the UID of the lesion that was first seen as `anchor`."""
    return made_uid("tracking", anchor, *([str(attempt)] if attempt else []))
