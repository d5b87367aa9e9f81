"""Slices that are hard for a body mask: metal and its streaks, legs, things on and under the patient."""

from __future__ import annotations

import numpy as np
from imaging_fakes import ellipse, room
from scipy import ndimage
from skimage.transform import iradon, radon, resize

WATER_PER_MM = 0.02  # attenuation at about 70 keV
METAL_HU = 8000.0  # cobalt-chrome, beyond what a scanner's 12 bits hold
PHOTONS = 2e5  # a detector element's count without a patient
SATURATION = 0.08  # beam hardening: the line integral p through metal is seen as (1 − exp(−sp)) / s


def with_metal(hu: np.ndarray, spacing_mm: float, metal: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the slice as scanned with metal in it: beam hardening and starved rays, hence streaks.

    The projections of slice and metal are saturated, counted as photons and reconstructed; what that changes
    is added to the slice. `metal` (rows, cols) bool; square slices only.
    """
    side = 200
    mm = hu.shape[0] * spacing_mm / side
    small = resize(np.clip(hu, -1000, 2000).astype(float), (side, side), anti_aliasing=True)
    share = resize(metal.astype(float), (side, side), anti_aliasing=True)
    round_view = ellipse((side, side), ((side - 1) / 2,) * 2, (side / 2 - 1,) * 2)
    tissue = np.where(round_view, WATER_PER_MM * mm * (1 + small / 1000), 0.0)
    angles = np.linspace(0, 180, 240, endpoint=False)
    soft = radon(tissue, angles, circle=True)
    hard = radon(np.where(round_view, WATER_PER_MM * mm * share * METAL_HU / 1000, 0.0), angles, circle=True)
    seen = soft + (1 - np.exp(-SATURATION * hard)) / SATURATION
    counts = np.random.default_rng(seed).poisson(PHOTONS * np.exp(-seen))
    measured = -np.log(np.maximum(counts, 1) / PHOTONS)
    change = iradon(measured, angles, circle=True) - iradon(soft, angles, circle=True)
    change_hu = resize(change / (WATER_PER_MM * mm) * 1000, hu.shape)
    return np.clip(np.where(metal, 3071, hu + change_hu), -1024, 3071).astype(np.int16)


def pelvis() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a slice at 1 mm/px (400, 400) HU, the trunk's mask, and where two hip prostheses sit."""
    hu = room()
    trunk = ellipse(hu.shape, (200, 200), (110, 165))
    hu[trunk] = -90  # fat
    hu[ellipse(hu.shape, (200, 200), (85, 140))] = 50
    heads = np.zeros_like(trunk)
    for side in (105, 295):
        heads |= ellipse(hu.shape, (205, side), (22, 22))
        hu[ellipse(hu.shape, (205, side), (30, 30))] = 400
    return hu, trunk, heads


def legs(gap_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two thighs (400, 400) HU, `gap_px` apart (0 touches, less overlaps), and their mask."""
    hu = room()
    mask = np.zeros(hu.shape, bool)
    for side in (-1, 1):
        mask |= ellipse(hu.shape, (200, 200 + side * (75 + gap_px / 2)), (80, 75))
    hu[mask] = 40
    return hu, mask


def trunk_with_things() -> tuple[np.ndarray, np.ndarray]:
    """Return a belly with a bottle and a blanket on it, on a thick cushion on a solid table; its mask."""
    hu = room()
    trunk = ellipse(hu.shape, (200, 200), (95, 150))
    hu[310:330] = -880  # cushion
    hu[trunk & (np.arange(400)[:, None] < 296)] = 30
    trunk &= np.arange(400)[:, None] < 296  # a flat back
    hu[332:352, 60:340] = -350  # foam core of the table, within its shell
    hu[330:333, 55:345] = hu[350:353, 55:345] = 250
    rim = ellipse(hu.shape, (200, 200), (103, 158)) & ~ellipse(hu.shape, (200, 200), (98, 153))
    hu[rim & (np.arange(400)[:, None] < 230)] = -650  # blanket
    hu[ellipse(hu.shape, (78, 200), (18, 18))] = 0  # infusion bottle
    return ndimage.uniform_filter(hu, 2), trunk


def neck_between_shoulders() -> tuple[np.ndarray, np.ndarray]:
    """Return shoulders (300, 420) HU that rise beside the neck and are cut at both sides; their mask."""
    hu = room((300, 420))
    mask = ellipse(hu.shape, (240, 210), (60, 300))
    mask |= ellipse(hu.shape, (150, 210), (80, 60))
    for side in (0, 420):
        mask |= ellipse(hu.shape, (150, side), (110, 90))
    hu[mask] = 40
    return hu, mask
