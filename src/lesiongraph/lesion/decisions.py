"""What people decided about marks: who, when, what; which decisions are in force, and what follows from them.

Decisions are only ever added. The newest one on a question wins; `undo` takes one back, so that an older one
on the same question holds again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lesiongraph.errors import UsageError

ACCEPT, REJECT, TYPE = "accept", "reject", "type"
CONFIRM, BREAK, UNDO = "confirm-match", "break-match", "undo"
KINDS = (ACCEPT, REJECT, TYPE, CONFIRM, BREAK, UNDO)
_QUESTION = {ACCEPT: "status", REJECT: "status", TYPE: "type", CONFIRM: "match", BREAK: "match"}

Pair = tuple[str, str]


@dataclass(frozen=True)
class Decision:
    """One decision of one person.

    Attributes
    ----------
    lesion_id : str
        "" for an undo.
    other_lesion_id : str
        The second of a pair, "" otherwise; `lesion_id` sorts before it.
    kind : str
        One of `KINDS`.
    value : str
        The type, or the number of the decision that is undone; "" otherwise.
    decided_by : str
    decided_at : str
        UTC, ISO 8601.
    note : str
    id : int
        Given by the store, growing; 0 before.
    """

    lesion_id: str
    other_lesion_id: str
    kind: str
    value: str
    decided_by: str
    decided_at: str
    note: str = ""
    id: int = 0

    @property
    def pair(self) -> Pair:
        """The two lesions of a decision on a match."""
        return self.lesion_id, self.other_lesion_id

    def __str__(self) -> str:
        what = " ".join(word for word in (self.kind, *self.pair, self.value) if word)
        return f"decision {self.id or 'asked for'} ({what}, {self.decided_by}, {self.decided_at})"


class ContradictoryDecisionsError(UsageError):
    """A match was broken between two lesions that other decisions make one."""

    def __init__(self, broken: Decision, chain: Sequence[Decision]) -> None:
        self.broken = broken
        self.chain = tuple(chain)
        super().__init__(
            f"Two decisions contradict each other: {broken} keeps apart what "
            f"{' and '.join(map(str, chain))} make one lesion. "
            "Undo one of them (`lesiongraph decide undo ID`)."
        )


@dataclass(frozen=True)
class Ruling:
    """What the decisions in force say.

    Attributes
    ----------
    status : dict
        Lesion id → the decision that accepts or rejects it.
    types : dict
        Lesion id → the decision that names its type.
    confirmed, broken : tuple of decisions
        On pairs; no broken pair lies within what the confirmed ones connect.
    """

    status: dict[str, Decision] = field(default_factory=dict)
    types: dict[str, Decision] = field(default_factory=dict)
    confirmed: tuple[Decision, ...] = ()
    broken: tuple[Decision, ...] = ()

    def links(self, lesion_ids: Iterable[str]) -> tuple[list[Pair], list[Pair]]:
        """Return the pairs of these lesions that must, and those that cannot, be one.

        A lesion that is not among them (rejected since, say) still carries what goes through it.
        """
        present = set(lesion_ids)
        group_of = _groups(self.confirmed)
        members: dict[str, list[str]] = {}
        for lesion_id in sorted(group_of):
            if lesion_id in present:
                members.setdefault(group_of[lesion_id], []).append(lesion_id)
        must = [(group[0], other) for group in members.values() for other in group[1:]]
        cannot = set()
        for decision in self.broken:
            ends = [
                members.get(group_of.get(end, ""), [end] if end in present else []) for end in decision.pair
            ]
            if all(ends):
                cannot.add((min(ends[0][0], ends[1][0]), max(ends[0][0], ends[1][0])))
        return sorted(must), sorted(cannot)


def in_force(decisions: Iterable[Decision]) -> list[Decision]:
    """Return the decisions that nobody has undone, oldest first."""
    known = sorted(decisions, key=lambda decision: decision.id)
    gone = undone(known)
    return [decision for decision in known if decision.id not in gone and decision.kind != UNDO]


def undone(decisions: Iterable[Decision]) -> set[int]:
    """Return the numbers of decisions that were undone; an undo that was undone counts for nothing."""
    gone: set[int] = set()
    for decision in sorted(decisions, key=lambda decision: decision.id, reverse=True):
        if decision.kind == UNDO and decision.id not in gone:
            gone.add(int(decision.value))
    return gone


def rule(decisions: Iterable[Decision]) -> Ruling:
    """Return what the decisions say: the newest in force on each question.

    Raises
    ------
    ContradictoryDecisionsError
        If a pair is kept apart that others make one, directly or through further lesions.
    """
    newest: dict[tuple[str, Pair], Decision] = {}
    for decision in in_force(decisions):
        newest[_QUESTION[decision.kind], decision.pair] = decision
    standing = list(newest.values())
    ruling = Ruling(
        status={d.lesion_id: d for d in standing if d.kind in (ACCEPT, REJECT)},
        types={d.lesion_id: d for d in standing if d.kind == TYPE},
        confirmed=tuple(d for d in standing if d.kind == CONFIRM),
        broken=tuple(d for d in standing if d.kind == BREAK),
    )
    for broken in ruling.broken:
        chain = _chain(ruling.confirmed, *broken.pair)
        if chain:
            raise ContradictoryDecisionsError(broken, chain)
    return ruling


def _neighbours(confirmed: Iterable[Decision]) -> dict[str, list[tuple[str, Decision]]]:
    found: dict[str, list[tuple[str, Decision]]] = {}
    for decision in confirmed:
        a, b = decision.pair
        found.setdefault(a, []).append((b, decision))
        found.setdefault(b, []).append((a, decision))
    return found


def _groups(confirmed: Iterable[Decision]) -> dict[str, str]:
    """Return, for each lesion of a confirmed pair, the name of what is one lesion with it."""
    near = _neighbours(confirmed)
    group_of: dict[str, str] = {}
    for start in sorted(near):
        waiting = [start] if start not in group_of else []
        while waiting:
            lesion_id = waiting.pop()
            group_of[lesion_id] = start
            waiting += [other for other, _ in near[lesion_id] if other not in group_of]
    return group_of


def _chain(confirmed: Iterable[Decision], start: str, end: str) -> list[Decision]:
    """Return the fewest confirmed pairs that lead from one lesion to the other; none where they do not."""
    near = _neighbours(confirmed)
    came_by: dict[str, list[Decision]] = {start: []}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        if here == end:
            return came_by[here]
        for other, decision in near.get(here, []):
            if other not in came_by:
                came_by[other] = [*came_by[here], decision]
                waiting.append(other)
    return []
