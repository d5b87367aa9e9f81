"""A PACS as a source: its address, what it is asked, and the mirror of what it gave."""
