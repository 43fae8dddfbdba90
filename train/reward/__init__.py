"""Training on automatic rewards: what is scored, where its gradient goes, and the watch."""
