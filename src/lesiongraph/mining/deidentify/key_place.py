"""Where a workspace's key file lies: apart from the workspace, and which one it is.

A workspace holds only the key's public name (`deidentification.json`), so that another key is noticed.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from lesiongraph.errors import LesionGraphError
from lesiongraph.mining.deidentify.key_file import KeyFile, KeyFileError, WrongKeyError, open_or_create
from lesiongraph.mining.dicom_values import short_hash

MIRROR = "mirror"  # below the workspace: what was copied from sources, de-identified
MARK = f"{MIRROR}/deidentification.json"
POLICY = 1  # raised when the same original would be cleaned into something else


def find_key(workspace: Path, key: Path | None = None, *, new: bool = True) -> KeyFile:
    """Open the key file of a workspace, made first where the workspace has none yet.

    Parameters
    ----------
    workspace : Path
        The workspace's folder; it need not exist yet.
    key : Path, optional
        The file; without it, one below `~/.config/lesiongraph/keys`, named after the workspace.
    new : bool
        Whether a key may be made.

    Raises
    ------
    KeyFileError
        If the file lies inside the workspace, is gone, is no key file or can be read by others.
    WrongKeyError
        If the workspace was de-identified with another key.
    """
    expected = expected_key_id(workspace)
    path = _place(workspace, expected) if key is None else key
    inside = path.resolve().is_relative_to(workspace.resolve())
    if inside:
        raise KeyFileError(
            path,
            "a place inside the workspace",
            "Whoever is given the workspace must not be given the key: choose another place with --key.",
        )
    if (expected or not new) and not path.exists():
        raise KeyFileError(
            path, "no file", f"Give the key {expected or 'file'} of this workspace with --key."
        )
    opened = open_or_create(path)
    if expected and opened.key_id != expected:
        opened.close()
        raise WrongKeyError(path, opened.key_id, expected)
    return opened


def expected_key_id(workspace: Path) -> str:
    """Return the public name of the key that a workspace was de-identified with, "" where it was not."""
    mark = workspace / MARK
    if not mark.exists():
        return ""
    try:
        return str(json.loads(mark.read_text())["key_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise LesionGraphError(
            f"{mark}: expected the name of the workspace's key, found something else ({error}). "
            "Mine into another workspace."
        ) from error


def mark_workspace(workspace: Path, key: KeyFile) -> None:
    """Write into a workspace which key it is de-identified with; the mark is never changed."""
    if not (workspace / MARK).exists():
        part = workspace / f"{MARK}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"key_id": key.key_id, "policy": POLICY}) + "\n")
        part.replace(workspace / MARK)


def unmark_if_empty(workspace: Path) -> None:
    """Take the mark away again where nothing lies beside it: nothing was de-identified with that key."""
    mirror = workspace / MIRROR
    if mirror.is_dir() and [path for path in mirror.rglob("*") if path.is_file()] == [workspace / MARK]:
        shutil.rmtree(mirror)


def _place(workspace: Path, expected: str) -> Path:
    """Return the default key file; a workspace that was moved still finds the one it was made with."""
    keys = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "lesiongraph" / "keys"
    place = keys / f"{workspace.resolve().name}-{short_hash(str(workspace.resolve()))}.key"
    if expected and not place.exists():
        for other in sorted(keys.glob(f"{workspace.resolve().name}-*.key")):
            with KeyFile(other) as opened:
                if opened.key_id == expected:
                    return other
    return place
