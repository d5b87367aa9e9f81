"""Patches on disk: exact, atomic, small in memory, stale when the recipe changed."""

from __future__ import annotations

import dataclasses
import errno
import tracemalloc

import numpy as np
import pytest

from lesiongraph.errors import DiskFullError
from lesiongraph.imaging import Patch, PatchStore, PatchStoreError, PatchWriter, patch_provenance
from lesiongraph.lesion import BoundingBox
from lesiongraph.recipe import ImagingRecipe


def _patch(seed: int, height: int = 30, width: int = 40) -> Patch:
    hu = np.random.default_rng(seed).integers(-3024, 3071, (3, height, width)).astype(np.int16)
    flags = ("context: a", "box: b; c") if seed % 2 else ()
    return Patch(hu, BoundingBox(1.5, 2.25, 7.0, 9.0 + seed), 1.0 + seed / 7, (-2.0, 0.0, 1.5), flags)


def _write(path, count=5, provenance="p"):
    patches = {f"L-{i}": _patch(i, 20 + i, 50 - i) for i in range(count)}
    with PatchWriter(path, provenance) as writer:
        for lesion_id, patch in patches.items():
            writer.append(lesion_id, patch)
    return patches


def test_what_was_written_is_read(tmp_path):
    patches = _write(tmp_path / "deep" / "patches")
    store = PatchStore(tmp_path / "deep" / "patches", "p")
    assert store.lesion_ids == tuple(patches)
    assert len(store) == 5
    assert "L-3" in store
    assert "L-9" not in store
    for lesion_id, read in store:
        wrote = patches[lesion_id]
        assert read.hu.dtype == np.int16
        assert (read.hu == wrote.hu).all()
        assert (read.box, read.scale_mm, read.context_slices_mm, read.flags) == (
            wrote.box,
            wrote.scale_mm,
            wrote.context_slices_mm,
            wrote.flags,
        )
    with pytest.raises(KeyError):
        store["L-9"]


def test_pixels_are_a_read_only_view_of_the_file(tmp_path):
    _write(tmp_path / "patches")
    hu = PatchStore(tmp_path / "patches")["L-2"].hu
    assert hu.base is not None
    with pytest.raises(ValueError, match="read-only"):
        hu[0, 0, 0] = 1


def test_no_patches_at_all(tmp_path):
    _write(tmp_path / "patches", count=0)
    assert len(PatchStore(tmp_path / "patches")) == 0


def test_an_error_inside_leaves_the_old_file(tmp_path):
    path = tmp_path / "patches"
    _write(path)
    before = path.read_bytes()

    def break_off():
        with PatchWriter(path, "q") as writer:
            writer.append("new", _patch(1))
            raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        break_off()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["patches"]


def test_a_kill_leaves_the_old_file_and_the_next_run_finishes(tmp_path):
    path = tmp_path / "patches"
    _write(path)
    before = path.read_bytes()
    killed = PatchWriter(path, "q").__enter__()
    killed.append("new", _patch(1))
    killed._file.close()  # as the kernel does; __exit__ never runs
    assert path.read_bytes() == before
    _write(path, count=2, provenance="q")
    assert PatchStore(path, "q").lesion_ids == ("L-0", "L-1")
    assert [p.name for p in tmp_path.iterdir()] == ["patches"]


def test_full_disk_is_a_clear_error(tmp_path, monkeypatch):
    path = tmp_path / "patches"
    _write(path)
    before = path.read_bytes()

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFullError, match="no space left"):
        _write(path, count=3, provenance="q")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["patches"]


def test_another_recipe_makes_the_store_stale(tmp_path):
    path = tmp_path / "patches"
    recipe = ImagingRecipe()
    _write(path, provenance=patch_provenance(recipe))
    assert PatchStore.open_current(path, patch_provenance(ImagingRecipe())) is not None
    other = patch_provenance(dataclasses.replace(recipe, patch_padding_mm=40.0))
    assert PatchStore.open_current(path, other) is None
    assert PatchStore.open_current(tmp_path / "nothing", other) is None
    with pytest.raises(PatchStoreError, match="another recipe"):
        PatchStore(path, other)


@pytest.mark.parametrize("damage", ["cut", "empty", "other"])
def test_a_damaged_file_is_told(tmp_path, damage):
    path = tmp_path / "patches"
    _write(path)
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:-100], "empty": b"", "other": b"x" * 500}[damage])
    with pytest.raises(PatchStoreError, match="expected a patch cache"):
        PatchStore(path)
    assert PatchStore.open_current(path, "p") is None


def test_bad_patches_are_refused(tmp_path):
    with PatchWriter(tmp_path / "patches") as writer:
        writer.append("a", _patch(1))
        with pytest.raises(ValueError, match="already"):
            writer.append("a", _patch(2))
        with pytest.raises(ValueError, match="int16"):
            writer.append("b", dataclasses.replace(_patch(2), hu=np.zeros((3, 4, 5))))
        with pytest.raises(ValueError, match="int16"):
            writer.append("b", dataclasses.replace(_patch(2), hu=np.zeros((4, 5), np.int16)))
    assert PatchStore(tmp_path / "patches").lesion_ids == ("a",)
    with pytest.raises(ValueError, match="with"):
        PatchWriter(tmp_path / "other").append("a", _patch(1))


def test_memory_does_not_grow_with_the_pixels(tmp_path):
    patch = _patch(1, 150, 150)  # 135 kB of pixels
    with PatchWriter(tmp_path / "patches") as writer:
        tracemalloc.start()
        for i in range(200):  # 27 MB
            writer.append(f"L-{i}", patch)
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
    store = PatchStore(tmp_path / "patches")
    for _, read in store:
        read.hu.sum()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert written < 1e6
    assert peak < 1e6
