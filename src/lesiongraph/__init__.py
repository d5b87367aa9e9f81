"""lesiongraph: from a hospital's archive of CT studies to a searchable lesion graph.

An open implementation of, and extension to, Yan et al., "Deep Lesion Graphs in the Wild" (CVPR 2018).
Not for clinical use.
"""

__version__ = "0.1.0"
