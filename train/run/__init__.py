"""What every run has: folder and record, processes, memory, trackers, saved adapter."""
