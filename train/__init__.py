"""Everything that touches a generator: models, sampling, losses, policies, runs. No page."""
