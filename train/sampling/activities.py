"""The activity prompts of VADER's test split: 45 animals, each at 3 activities, 135 prompts.

The words are those of DDPO's prompt files (github.com/kvablack/ddpo-pytorch, MIT licence), which
VADER uses byte for byte. In turns: one activity for every animal, then the next, so that the first
`n` are as many animals as there can be. The paper trains on 50 "action" prompts of HPSv2, which
carry no licence and are not here: give them as a file.
"""

from __future__ import annotations

ANIMALS = (
    "cat", "dog", "horse", "monkey", "rabbit", "zebra", "spider", "bird", "sheep", "deer", "cow",
    "goat", "lion", "tiger", "bear", "raccoon", "fox", "wolf", "lizard", "beetle", "ant",
    "butterfly", "fish", "shark", "whale", "dolphin", "squirrel", "mouse", "rat", "snake",
    "turtle", "frog", "chicken", "duck", "goose", "bee", "pig", "turkey", "fly", "llama", "camel",
    "bat", "gorilla", "hedgehog", "kangaroo",
)  # fmt: skip
ACTIVITIES = ("washing the dishes", "riding a bike", "playing chess")


def prompts() -> list[str]:
    """All 135, in order."""
    return [
        f"{'an' if animal[0] in 'aeiou' else 'a'} {animal} {ACTIVITIES[(i + turn) % 3]}"
        for turn in range(3)
        for i, animal in enumerate(ANIMALS)
    ]
