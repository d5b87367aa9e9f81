"""A random seed → a synthetic hospital as DICOM, with its truth beside it; in place of the PACS of Sec. 3."""
