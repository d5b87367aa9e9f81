"""Here so that the folders below find `dicom_files`: pytest puts a conftest's folder on the path."""
