"""What every run has: options, folder and record, processes, memory, trackers, saved adapter."""
