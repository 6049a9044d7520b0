"""Which words many people type, found letter by letter: nobody sends a word, and a rare one never shows.

Everybody votes for the next letter of a word that they share so far with enough others; a few rounds of that spell out
the words that at least THRESHOLD people have.
"""

from collections import Counter

import numpy as np

import federated as fed

PEOPLE, THRESHOLD = 200, 15
WORDS = ["tea", "coffee", "water", "milk", "mate", "cocoa", "juice", "cider", "whey", "kefir", "ayran", "horchata"]

HITTERS = fed.analytics.HeavyHitters("abcdefghijklmnopqrstuvwxyz", max_length=8, threshold=THRESHOLD, most=16)


def typed(seed: int = 0) -> list[str]:
    """A word of each person's; the first words are the frequent ones, as Zipf found."""
    shares = 1 / np.arange(1, len(WORDS) + 1)
    return [str(word) for word in np.random.default_rng(seed).choice(WORDS, PEOPLE, p=shares / shares.sum())]


if __name__ == "__main__":
    words = typed()
    found = HITTERS.find([HITTERS.encoded(words)] * HITTERS.max_length)
    for word, votes in found.items():
        print(f"{word}: {votes:.0f}")
    missed = {word for word, count in Counter(words).items() if count >= THRESHOLD} - set(found)
    print(f"{len(missed)} missed")
