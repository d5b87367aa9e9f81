"""A study open in OHIF, as a reader works with it, in a headless Chromium (Playwright).

What it tells is what OHIF shows (its table) and what OHIF holds (its measurement service); both are read
from the page, none from our report. It needs Debian's chromium and the Python package playwright.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from lesiongraph.mining.write_back.document import SERIES_DESCRIPTION

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from ohif import Viewer

PROGRAM = shutil.which("chromium") or ""
OFF = "background-networking component-update sync quic"
FLAGS = [
    *("--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in OFF.split())),
    # WebGL without a graphics card: OHIF draws nothing without it
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
]
SIZE = {"width": 1500, "height": 900}
# OHIF draws on after a viewport was closed, where the machine is busy; says nothing of what was loaded.
OWN_RACE = "viewport has been destroyed"
WAIT_MS = 60_000  # the app is 15 MB of script, and two cores may be busy
TOUR_SEEN = "localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))"
REPORTS = """() => services.displaySetService.getActiveDisplaySets()
  .filter(set => set.Modality === 'SR' && set.measurements)
  .map(set => ({description: set.SeriesDescription, lesions: set.measurements.map(m => ({
    tracking: m.TrackingIdentifier, uid: m.TrackingUniqueIdentifier, image: m.ReferencedSOPInstanceUID
  }))}))"""
MEASUREMENTS = """() => services.measurementService.getMeasurements().map(m => ({
  label: m.label, tool: m.toolName, image: m.SOPInstanceUID, points: m.points.map(point => [...point]),
  length: Object.values(m.data)[0].length, width: Object.values(m.data)[0].width,
  unit: Object.values(m.data)[0].unit, finding: m.finding?.CodeMeaning,
  sites: (m.findingSites || []).map(site => site.CodeMeaning)}))"""


def missing() -> str:
    """Say what driving a browser lacks on this machine, "" where nothing."""
    if not PROGRAM:
        return "Chromium is not installed (apt-get install chromium)"
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed (pip install playwright)"
    return ""


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Give a headless Chromium that ends with the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        try:
            yield chromium
        finally:
            chromium.close()


def open_study(chromium: Browser, viewer: Viewer, study_instance_uid: str) -> StudyPage:
    """Open a study in the mode that measures."""
    page = chromium.new_page(viewport=SIZE)
    page.set_default_timeout(WAIT_MS)
    page.add_init_script(TOUR_SEEN)
    page.goto(viewer.study(study_instance_uid))
    return StudyPage(page)


class StudyPage:
    """One study, open in OHIF."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.errors: list[str] = []
        page.on("pageerror", self._note)

    def _note(self, error: Exception) -> None:
        if OWN_RACE not in str(error):
            self.errors.append(str(error))

    def open_report(self) -> list[dict[str, Any]]:
        """Double-click our report; return the SR documents that OHIF has then read, with their lesions."""
        self._page.get_by_text(SERIES_DESCRIPTION, exact=False).first.dblclick()
        self._button("yes-hydrate-btn").wait_for()  # OHIF asks whether to go on with these measurements
        reports: list[dict[str, Any]] = self._page.evaluate(REPORTS)
        return reports

    def go_on(self) -> list[dict[str, Any]]:
        """Answer Yes; return the measurements that OHIF goes on with (points in patient mm)."""
        self._button("yes-hydrate-btn").click()
        self._page.wait_for_function("services.measurementService.getMeasurements().length > 0")
        self._button("trackedMeasurements-btn").click()
        self._button("measurement-table-row-0").wait_for()
        measurements: list[dict[str, Any]] = self._page.evaluate(MEASUREMENTS)
        return measurements

    def table(self) -> list[list[str]]:
        """Return the rows of the measurement table as a reader sees them, a list of lines each."""
        rows = self._page.locator("[data-cy^='measurement-table-row-']").all()
        return [[line for line in row.inner_text().splitlines() if line] for row in rows]

    def save_report(self) -> int:
        """Create a report of these, in the series that OHIF proposes; return the HTTP status."""
        self._page.get_by_text("Create SR").click()
        with self._page.expect_response(lambda answer: answer.request.method == "POST") as stored:
            self._button("input-dialog-save-button").click()
        return stored.value.status

    def picture(self, path: Path) -> None:
        """Write what is seen, in 256 colours."""
        self._page.locator("[data-cy='measurement-table-row-1']").click()
        self._page.wait_for_timeout(5000)  # the slice is fetched and drawn
        seen = Image.open(io.BytesIO(self._page.screenshot())).convert("RGB")
        seen.resize((1200, 720), Image.Resampling.LANCZOS).quantize(256).save(path, optimize=True)

    def _button(self, name: str):  # type: ignore[no-untyped-def]
        return self._page.locator(f"[data-cy='{name}']").first
