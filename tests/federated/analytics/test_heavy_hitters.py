"""Frequent words, found letter by letter, against a count of all words."""

import math
import string
from collections import Counter
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.analytics import HeavyHitters, Trie
from federated.language.errors import MisuseError
from tests.federated.analytics.test_analytics import CONTEXTS

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

LETTERS = string.ascii_lowercase[:6]
LENGTH = 5
SIX_SIGMA = 6


def zipf_words(clients: int, seed: int) -> list[str]:
    """A word of each client's, of 60 random words whose frequencies are Zipf's."""
    random = np.random.default_rng(seed)
    vocabulary = sorted({"".join(random.choice(list(LETTERS), random.integers(1, LENGTH + 1))) for _ in range(60)})
    random.shuffle(vocabulary)
    shares = 1 / np.arange(1, len(vocabulary) + 1)
    return [str(word) for word in random.choice(vocabulary, clients, p=shares / shares.sum())]


def frequent(words: list[str], threshold: float) -> dict[str, int]:
    return {word: count for word, count in Counter(words).items() if count >= threshold}


def all_rounds(hitters: HeavyHitters, words: list[str]) -> dict[str, float]:
    """What is found where every client takes part in every round."""
    return hitters.find([hitters.encoded(words)] * LENGTH)


@pytest.mark.parametrize("context", CONTEXTS)
def test_exactly_the_words_that_enough_clients_have_are_found_with_their_counts(context: str) -> None:
    words = zipf_words(120, seed=1)
    hitters = HeavyHitters(LETTERS, LENGTH, threshold=4)
    with CONTEXTS[context]():
        found = all_rounds(hitters, words)
    assert found == frequent(words, 4)
    assert len(found) > 5
    assert list(found.values()) == sorted(found.values(), reverse=True)


def counted(hitters: HeavyHitters, trie: Trie, words: list[str]) -> Any:
    """The votes of a round, by hand."""
    votes = np.zeros((hitters.most, len(hitters.alphabet) + 1))
    for word in words:
        for row, prefix in enumerate(trie.open):
            if word.startswith(prefix):
                rest = word[len(prefix) :]
                votes[row, hitters.alphabet.index(rest[0]) + 1 if rest else 0] += 1
    return votes


def by_hand(hitters: HeavyHitters, cohorts: list[list[str]]) -> dict[str, float]:
    trie = Trie()
    for words in cohorts:
        trie = hitters.grown(trie, counted(hitters, trie, words))
    return trie.words


@pytest.mark.parametrize("seed", range(5))
def test_a_zipf_distributions_head_is_found_of_other_clients_in_every_round(seed: int) -> None:
    words = zipf_words(20_000, seed)
    random = np.random.default_rng(seed)
    cohorts = [list(random.choice(words, 1500, replace=False)) for _ in range(LENGTH)]
    found = by_hand(HeavyHitters(LETTERS, LENGTH, threshold=20), cohorts)
    # A word's votes in a round are hypergeometric: six standard deviations above and below what a threshold of 20 asks.
    certain = {w for w, count in Counter(words).items() if count * 1500 / 20_000 > 20 + SIX_SIGMA * math.sqrt(50)}
    possible = {w for w, count in Counter(words).items() if count * 1500 / 20_000 > 2}
    assert certain <= set(found) <= possible
    assert len(certain) >= 5


def test_a_round_of_devices_counts_what_is_counted_by_hand() -> None:
    words = ["abba", "abc", "ab", "b", "faded", "cab", "abed", ""]
    hitters = HeavyHitters(LETTERS, LENGTH, threshold=1, most=4)
    for trie in (Trie(), Trie(open=("ab", "fa")), Trie(open=("abb", "abe", "fad"))):
        found = hitters.votes(word=hitters.encoded(words), **hitters.question(trie))
        np.testing.assert_array_equal(found, counted(hitters, trie, words))


def test_no_more_prefixes_are_open_than_were_asked_for_the_most_frequent_first() -> None:
    hitters = HeavyHitters(LETTERS, LENGTH, threshold=1, most=2)
    trie = hitters.grown(Trie(), counted(hitters, Trie(), ["a", "ba", "bc", "ca", "cb", "cd", "d"]))
    assert trie.open == ("c", "b")
    assert not trie.is_complete


def test_noise_is_in_every_count_and_hides_no_word_that_is_frequent_enough() -> None:
    hitters = HeavyHitters(LETTERS, LENGTH, threshold=60, most=200, stddev=5.0)
    words = hitters.encoded(["abba"] * 100 + ["cab"] * 90 + ["dead"] * 5)
    votes = hitters.votes(word=words, **hitters.question(Trie()))
    rest = votes[1:]
    assert abs(rest.var() / 25 - 1) < SIX_SIGMA * math.sqrt(2 / rest.size)
    assert set(hitters.find([words] * LENGTH)) == {"abba", "cab"}


def test_it_ends_when_nothing_is_open() -> None:
    hitters = HeavyHitters(LETTERS, LENGTH, threshold=2)

    def cohorts() -> Any:
        yield hitters.encoded(["a", "b", "c"])
        raise AssertionError("a round more than it takes")

    assert hitters.find(cohorts()) == {}


WRONG = {
    "an alphabet with a letter twice": (("aba", 3, 2), "every letter once, found 'aba'"),
    "no letters": (("", 3, 2), "every letter once"),
    "words of no length": (("ab", 0, 2), "found 0, 64, 2 and 0.0"),
    "a threshold of nothing": (("ab", 3, 0), "a threshold above 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_finds_nothing_is_refused(name: str) -> None:
    told, message = WRONG[name]
    with pytest.raises(MisuseError, match=message):
        HeavyHitters(*told)


@pytest.mark.parametrize("word", ["abz", "abcabc"])
def test_words_that_do_not_fit_are_refused(word: str) -> None:
    with pytest.raises(MisuseError, match="up to 5 letters of 'abcdef', found"):
        HeavyHitters(LETTERS, LENGTH, threshold=2).encoded([word])


def test_the_votes_are_a_computation_with_a_type() -> None:
    assert str(HeavyHitters("ab", 3, threshold=2, most=4).votes.type_signature) == (
        "(<word={int32[3]}@CLIENTS,prefixes=int32[4,3]@SERVER,length=int32@SERVER> -> int32[4,3]@SERVER)"
    )
    assert fed.analytics.HeavyHitters is HeavyHitters
