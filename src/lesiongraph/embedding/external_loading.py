"""External trunks by name: an exported program's file, or a Python entry point (docs/trunks.md)."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lesiongraph.embedding.external import ExternalTrunk, Network, digest_of
from lesiongraph.embedding.input_contract import InputContract, refused
from lesiongraph.embedding.trunk import TrunkLike
from lesiongraph.embedding.weights import file_sha256
from lesiongraph.errors import UsageError

CONTRACT_FILE = "lesiongraph.json"  # inside an exported program; beside it the contract is FILE.json
SUFFIXES = (".pt2", ".pt", ".ts")
TRUNK_PARTS = ("variant", "window_hu", "origin", "sha256", "device")


def is_external(name: str) -> bool:
    """Whether a trunk's name is a program file or a Python entry point, not one of ours."""
    return ":" in name or Path(name).suffix in SUFFIXES


def load_external(name: str) -> TrunkLike:
    """Return the trunk of an exported program (FILE.pt2, FILE.pt) or an entry point (module:function).

    Raises
    ------
    UsageError
        If the entry point does not exist.
    WeightsError
        If the program cannot be read or breaks its contract.
    """
    if Path(name).suffix in SUFFIXES:
        return _from_file(Path(name))
    return _from_entry_point(name)


def _from_file(path: Path) -> ExternalTrunk:
    if not path.is_file():
        raise refused(str(path), "an exported program", "no such file")
    inside = {CONTRACT_FILE: ""}
    try:
        if path.suffix == ".pt2":
            network: Network = torch.export.load(path, extra_files=inside).module()
        else:
            network = _torchscript(path, inside)
    except Exception as error:  # torch raises many kinds for a file that is none
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise refused(str(path), "a torch.export (.pt2) or TorchScript (.pt) program", reason) from error
    contract = InputContract.of(_stated_contract(path, inside[CONTRACT_FILE]), str(path))
    return ExternalTrunk(
        network,
        contract,
        name=path.stem,
        origin=f"external program {path.name}",
        sha256=digest_of(file_sha256(path), contract),
    )


def _torchscript(path: Path, inside: dict[str, str]) -> Network:
    with warnings.catch_warnings():  # torch prefers exported programs; files of others are what they are
        warnings.simplefilter("ignore", DeprecationWarning)
        program: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
            str(path), map_location="cpu", _extra_files=inside
        )
    return program.eval()


def _stated_contract(path: Path, inside: str | bytes) -> Mapping[str, Any]:
    """Read the contract inside the program, else the file beside it."""
    beside = path.with_name(path.name + ".json")
    text = inside or (beside.read_text() if beside.is_file() else "")
    if not text:
        raise refused(
            str(path), f"an input contract ({CONTRACT_FILE} inside, or {beside.name} beside it)", "none"
        )
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise refused(str(path), "an input contract in JSON", str(error)) from error


def _from_entry_point(name: str) -> TrunkLike:
    module, _, function = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"trunk {name}: expected module:function that can be imported; {error}.") from error
    trunk = factory()
    missing = [part for part in TRUNK_PARTS if not hasattr(trunk, part)]
    if missing or not callable(trunk):
        raise refused(name, "a trunk, such as ExternalTrunk", f"{type(trunk).__name__} without {missing}")
    made: TrunkLike = trunk
    return made
