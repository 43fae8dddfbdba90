"""Networks of published generators that diffusers does not carry, under their published names."""
