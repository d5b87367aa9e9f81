"""Takes a workspace, walks it one stage further through the rooms, gives a run report (paper Fig. 1)."""
