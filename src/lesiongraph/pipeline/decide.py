"""A person's decision on marks and matches: checked, kept with who and when, in force at once."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lesiongraph.errors import DecisionError
from lesiongraph.lesion import (
    ACCEPT,
    BREAK,
    CONFIRM,
    LESION_TYPES,
    TYPE,
    UNDO,
    Decision,
    in_force,
    rule,
    undone,
)
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.decided import CANNOT_BE_ACCEPTED, why_unusable
from lesiongraph.pipeline.stored_catalogue import StoredCatalogue, stored_catalogue
from lesiongraph.store import utc_now
from lesiongraph.workspace import Workspace

_COLUMNS = [
    *("id", "kind", "lesion_id", "other_lesion_id", "value"),
    *("decided_by", "decided_at", "note", "in_force"),
]


def decide(
    workspace: Workspace,
    kind: str,
    lesion_ids: Sequence[str] = (),
    *,
    value: str = "",
    decided_by: str,
    note: str = "",
    store: str | None = None,
) -> Decision:
    """Add a decision to the catalogue and to its snapshot.

    Parameters
    ----------
    workspace : Workspace
    kind : str
        One of `lesion.KINDS`.
    lesion_ids : sequence of str
        One, two for a match, none for an undo.
    value : str
        The type, or the number of the decision to undo.
    decided_by : str
    note : str
    store : str, optional
        URL of the catalogue's database; by default the workspace's own.

    Raises
    ------
    DecisionError
        If a lesion, type or decision is unknown, or a mark cannot stand whoever accepts it.
    ContradictoryDecisionsError
        If it excludes what was decided before: nothing is kept.
    """
    if not decided_by.strip():
        raise DecisionError("--by: expected a name, got nothing. Who decides?")
    first, second = (*sorted(lesion_ids), "", "")[:2]
    asked = Decision(first, second, kind, value, decided_by.strip(), utc_now(), note)

    def choose(lesions: pd.DataFrame, decisions: list[Decision]) -> Decision:
        if kind == UNDO:
            _check_undo(asked, decisions)
        else:
            _check(asked, lesions)
        number = max((decision.id for decision in decisions), default=0) + 1
        rule([*decisions, Decision(**{**vars(asked), "id": number})])
        return asked

    with workspace.lock(), stored_catalogue(workspace, store) as catalogue:
        _need(catalogue)
        return catalogue.decide(choose)


def decisions_table(
    workspace: Workspace, *, everything: bool = False, store: str | None = None
) -> pd.DataFrame:
    """Return the decisions, oldest first: those in force, or every one that was ever taken."""
    with workspace.lock(), stored_catalogue(workspace, store) as catalogue:
        _need(catalogue)
        with catalogue.store.read() as view:
            decisions = view.decisions()
    held = {decision.id for decision in in_force(decisions)}
    rows = [{**vars(d), "in_force": d.id in held} for d in decisions if everything or d.id in held]
    columns = [
        "id",
        "kind",
        "lesion_id",
        "other_lesion_id",
        "value",
        "decided_by",
        "decided_at",
        "note",
        "in_force",
    ]
    return pd.DataFrame(rows, columns=columns)


def _need(catalogue: StoredCatalogue) -> None:
    """Raise StageMissingError where nothing has been mined."""
    if not catalogue.store.exists:
        read_catalogue(catalogue.workspace)


def _check(asked: Decision, lesions: pd.DataFrame) -> None:
    ids = [lesion_id for lesion_id in asked.pair if lesion_id]
    if len(set(ids)) < len(ids):
        raise DecisionError(f"{ids[0]} twice: expected two different lesions.")
    rows = {lesion_id: lesions[lesions.lesion_id == lesion_id] for lesion_id in ids}
    for lesion_id, found in rows.items():
        if found.empty:
            raise DecisionError(
                f"Lesion {lesion_id!r} is not among the {len(lesions)} marks of this catalogue. "
                "`lesiongraph catalogue --csv OUT` lists the ids."
            )
    if asked.kind in (CONFIRM, BREAK):
        patients = {found.patient_id.iloc[0] for found in rows.values()}
        if asked.kind == CONFIRM and len(patients) > 1:
            raise DecisionError(
                f"{ids[0]} and {ids[1]}: expected two lesions of one patient, "
                f"got {' and '.join(sorted(patients))}."
            )
    if asked.kind == TYPE and asked.value not in LESION_TYPES:
        raise DecisionError(f"Type {asked.value!r}: expected one of {', '.join(LESION_TYPES)}.")
    if asked.kind == ACCEPT:
        cause = why_unusable(rows[ids[0]].iloc[0])
        if cause:
            raise DecisionError(f"{ids[0]} {CANNOT_BE_ACCEPTED}: {cause}.")


def _check_undo(asked: Decision, decisions: list[Decision]) -> None:
    """An undo names a decision, or another undo, that has not been undone."""
    known, gone = {str(decision.id) for decision in decisions}, {str(number) for number in undone(decisions)}
    if asked.value not in known - gone:
        found = "one that was undone" if asked.value in gone else "no such number"
        raise DecisionError(
            f"Decision {asked.value}: expected one that holds, found {found}. "
            "`lesiongraph decide list` shows them."
        )
