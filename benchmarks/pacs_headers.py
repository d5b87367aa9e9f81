"""Which way of asking a PACS moves fewer bytes: headers by QIDO or metadata, reports whole or by metadata.

    python benchmarks/pacs_headers.py ADDRESS      # dicomweb+http://localhost:8042/dicom-web

Asks the first studies that hold CT, a series and a report at a time, and prints the sums.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import TypeVar

from lesiongraph.mining.dicom_header import HEADER_KEYWORDS, MARK_MODALITIES
from lesiongraph.mining.pacs import PacsAddress, PacsSettings
from lesiongraph.mining.pacs.dicomweb import DicomwebConnection

Answer = TypeVar("Answer")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("address")
    parser.add_argument("--studies", type=int, default=20)
    options = parser.parse_args()
    with DicomwebConnection(PacsAddress.parse(options.address), PacsSettings(page_size=1000)) as web:
        print(json.dumps(measure(web, options.studies), indent=1))


def measure(web: DicomwebConnection, studies: int) -> dict[str, float]:
    """Return bytes received and seconds for each way of asking."""
    sums: Counter[str] = Counter()

    def ask(way: str, question: Callable[[], Answer]) -> Answer:
        moved, started = web.traffic.bytes_received, time.perf_counter()
        answer = question()
        sums[f"{way}: bytes"] += web.traffic.bytes_received - moved
        sums[f"{way}: seconds"] += time.perf_counter() - started  # type: ignore[assignment]
        return answer

    for study in islice(web.search_studies(modality="CT"), studies):
        uid = str(study.StudyInstanceUID)
        for series in web.search_series(uid):
            name = str(series.SeriesInstanceUID)
            if series.Modality == "CT":
                ask("headers by metadata", lambda u=uid, n=name: web.series_metadata(u, n))  # type: ignore[misc]
                found = ask(
                    "headers by QIDO",
                    lambda u=uid, n=name: list(  # type: ignore[misc]
                        web.search_instances(u, n, fields=HEADER_KEYWORDS, keep=HEADER_KEYWORDS)
                    ),
                )
                sums["CT series"] += 1
                sums["CT images"] += len(found)
            elif series.Modality in MARK_MODALITIES:
                for instance in list(web.search_instances(uid, name)):
                    where = (uid, name, str(instance.SOPInstanceUID))
                    ask("reports by metadata", lambda w=where: web.instance_metadata(*w))  # type: ignore[misc]
                    ask("reports whole", lambda w=where: web.retrieve_instance(*w))  # type: ignore[misc]
                    sums["reports"] += 1
    return {key: round(value, 2) for key, value in sorted(sums.items())}


if __name__ == "__main__":
    main()
