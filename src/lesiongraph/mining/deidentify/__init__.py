"""Takes data sets as they come; gives them without what names a person, and a key file for the way back."""

from lesiongraph.mining.deidentify.deidentifier import Deidentifier
from lesiongraph.mining.deidentify.key_file import KeyFile
from lesiongraph.mining.deidentify.key_place import find_key
from lesiongraph.mining.deidentify.originals import Originals

__all__ = ["Deidentifier", "KeyFile", "Originals", "find_key"]
