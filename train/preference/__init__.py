"""Training on preference pairs: labels, batches, errors, the loop, and what is watched."""
