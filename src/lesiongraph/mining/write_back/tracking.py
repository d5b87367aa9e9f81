"""Which tracking UID each lesion group carries, now that groups may have grown, split or joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lesiongraph.mining.write_back.facts import Tracking
from lesiongraph.mining.write_back.identity import tracking_uid


def assign_tracking(
    groups: Sequence[Sequence[str]], known: Mapping[str, Tracking], anchors: Mapping[str, str]
) -> dict[str, Tracking]:
    """Return the tracking of each lesion of one patient.

    A group keeps the UID that most of its lesions carried before; where two groups claim one, the one with
    more of its lesions has it, then the one named first. A group without any gets a new UID, made from its
    first lesion, and the next free number.

    Parameters
    ----------
    groups : sequence of sequences of str
        Lesion ids of each group, the earliest study first; groups in a fixed order.
    known : mapping
        Lesion id → tracking it was reported with before; of this patient.
    anchors : mapping
        Lesion id → words that name it in the whole hospital.
    """
    by_uid = {tracking.uid: tracking for tracking in known.values()}
    given: dict[int, Tracking] = {}
    for place, uid in _claims(groups, known):
        if place not in given and uid not in {tracking.uid for tracking in given.values()}:
            given[place] = by_uid[uid]
    used, number = set(by_uid), max((tracking.number for tracking in known.values()), default=0)
    for place, lesions in enumerate(groups):
        if place not in given:
            number += 1
            given[place] = Tracking(_free_uid(anchors[lesions[0]], used), number)
            used.add(given[place].uid)
    return {lesion: given[place] for place, lesions in enumerate(groups) for lesion in lesions}


def _claims(groups: Sequence[Sequence[str]], known: Mapping[str, Tracking]) -> list[tuple[int, str]]:
    """Return (group, UID it could keep), the strongest claim first."""
    votes = [
        (count, place, uid)
        for place, lesions in enumerate(groups)
        for uid, count in Counter(known[lesion].uid for lesion in lesions if lesion in known).items()
    ]
    return [(place, uid) for _, place, uid in sorted(votes, key=lambda vote: (-vote[0], vote[1], vote[2]))]


def _free_uid(anchor: str, used: set[str]) -> str:
    attempt = 0
    while (uid := tracking_uid(anchor, attempt)) in used:  # its first lesion was reported in another group
        attempt += 1
    return uid
