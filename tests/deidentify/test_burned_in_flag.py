"""Series that say, or show, that text is burned in are flagged and counted, also by a later run."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image, ImageDraw


def flags(workspace) -> list[str]:
    return pd.read_parquet(next(workspace.glob("catalogue-*/series.parquet")))["flags"].tolist()


@pytest.mark.parametrize("how", ["", "stated", "drawn"])
@pytest.mark.parametrize("mode", ["--deidentify", "--keep-identifiers"])
def test_series_with_text_are_flagged_and_counted(cli, tmp_path, how, mode):
    from small_hospital import SIZE_PX, write_study

    source = tmp_path / "source"
    write_study(source, "P1", "20200110")
    for path in source.glob("ct-*"):
        dataset = pydicom.dcmread(path)
        if how == "stated":
            dataset.BurnedInAnnotation = "YES"
        if how == "drawn":
            layer = Image.new("1", (SIZE_PX, SIZE_PX))
            ImageDraw.Draw(layer).text((1, 0), "DOE 47", fill=1)
            pixels = dataset.pixel_array.copy()
            pixels[np.asarray(layer)] = 4095
            dataset.PixelData = pixels.tobytes()
        dataset.save_as(path)
    run = ["mine", source, "-w", tmp_path / "w", mode, "--json"]
    run += ["--key", tmp_path / "k.key"] if mode == "--deidentify" else []
    for _ in range(2):
        told = json.loads(cli(*run).out)
        assert told["counts"].get("series with burned-in text suspected", 0) == int(bool(how))
        assert flags(tmp_path / "w") == (["burned-in text suspected"] if how else [""])
