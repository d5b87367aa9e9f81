"""Real CT series and a random seed → virtual patients with grafted lesions as DICOM, and their truth.

The phantom's lesions (`phantom.lesions`, `lesion_paint`) are placed into real CT by tissue. Not to be
confused with `phantom.implants`, the phantom's metal implants. In place of the paper's PACS (Sec. 3).
"""

from lesiongraph.phantom.grafting.cohort import generate_cohort
from lesiongraph.phantom.grafting.plan import CohortOptions
from lesiongraph.phantom.grafting.truth import background_of, read_grafted_truth

__all__ = ["CohortOptions", "background_of", "generate_cohort", "read_grafted_truth"]
