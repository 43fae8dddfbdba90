"""From prompts to clips: prompts and first images, the sampler loop, what a clip remembers."""
