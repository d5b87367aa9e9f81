"""Takes CT and VGG-16, gives a small trunk that sees alike; the parts of `distil_trunk.py`."""
