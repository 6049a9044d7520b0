"""The words that many clients have, found letter by letter, of clients that each have one word.

Zhu, Kairouz, McMahan, Sun and Li, "Federated Heavy Hitters Discovery with Differential Privacy" (2020), Algorithms 1
and 2 (TrieHH): in round i every client votes for the first i letters of its word, if the first i − 1 are in the trie;
what fewer than θ clients vote for does not get in. The end of a word is a letter of its own.

    T₀ = {ε}        T_i = {w a : w in T_{i−1} without an end, votes(w a) ≥ θ}

A round is a computation of the federated language, so it runs here and on devices; what the votes do to the trie is a
few lines of Python between rounds. On devices a word is an array of numbers, one for each letter. With another cohort
in each round, chosen at random, the paper shows the votes alone to be private for its θ; with noise they are whatever
the noise makes of a sum that one client changes by one vote a round. Nothing here claims an ε.

Departures: the trie keeps no more than `most` open prefixes a round, those with the most votes; noise may be added.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

import numpy as np

from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation, federated_computation
from federated.language.errors import MisuseError
from federated.language.operators import (
    federated_broadcast,
    federated_map,
    federated_noised_sum,
    federated_sum,
)
from federated.language.origin import here
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import FederatedType
from wire.tensors import Array

_END = 0


@dataclass(frozen=True)
class Trie:
    """What is known after some rounds.

    Attributes:
        open: the prefixes that enough clients have and that go on, the most frequent first.
        words: those found, with their votes, the most frequent first.
        is_complete: whether another round would find nothing more.
    """

    open: tuple[str, ...] = ("",)
    words: dict[str, float] = field(default_factory=dict)
    is_complete: bool = False


@final
@dataclass(frozen=True)
class HeavyHitters:
    """Finds words; see the module's description.

    Attributes:
        alphabet: the letters that words are made of.
        max_length: the letters of the longest word.
        threshold: θ, how many votes let a prefix in.
        most: how many prefixes may be open at once; a client sends 4 bytes for each, and each letter.
        stddev: of the noise in every count; 0 for exact counts.

    Raises:
        MisuseError: there is nothing to find with these.

    Example:
        >>> hitters = HeavyHitters("abc", max_length=4, threshold=2)
        >>> hitters.find([hitters.encoded(["abba", "abba", "cab"])] * 5)
        {'abba': 2.0}
    """

    alphabet: str
    max_length: int
    threshold: float
    most: int = 64
    stddev: float = 0.0

    def __post_init__(self) -> None:
        if not self.alphabet or len(set(self.alphabet)) != len(self.alphabet):
            raise MisuseError(f"an alphabet has every letter once, found {self.alphabet!r}", where=here())
        if self.max_length < 1 or self.most < 1 or not self.threshold > 0 or not self.stddev >= 0:
            raise MisuseError(
                f"words of 1 letter or more, 1 open prefix or more, a threshold above 0 and a stddev of 0 or more are "
                f"expected, found {self.max_length}, {self.most}, {self.threshold} and {self.stddev}",
                where=here(),
            )

    def encoded(self, words: Iterable[str]) -> list[Array]:
        """Each word as a device keeps it: int32[max_length], i for the alphabet's ith letter, from 1, and then zeros.

        Raises:
            MisuseError: a word is too long, or has another letter.
        """
        return [self._encoded(word) for word in words]

    @cached_property
    def votes(self) -> Computation:
        """A round: `(<word={int32[max_length]}@CLIENTS,prefixes=…@SERVER,length=int32@SERVER> -> …@SERVER)`.

        `question` gives the server's arguments. The result, [most, letters and the end], has the votes for each open
        prefix and each letter after it: int32, or float32 with noise.
        """
        letters, most, stddev = len(self.alphabet) + 1, self.most, self.stddev
        prefixes_type = (np.int32, [most, self.max_length])

        @tf_computation((np.int32, [self.max_length]), prefixes_type, np.int32)
        def vote(word: Any, prefixes: Any, length: Any) -> Any:
            from federated.backends.mathematics import cast, one_hot, sum_over, where

            # At each place a prefix has the word's letter, or is not that long; unused ones have a letter of no word.
            place = one_hot(length, self.max_length)
            wrong = where(cast(prefixes, "float32") > 0.0, cast(word - prefixes, "float32"), 0.0)
            is_own = cast(sum_over(wrong * wrong, 1) <= 0.0, "float32")
            letter = one_hot(cast(sum_over(cast(word, "float32") * place, 0), "int32"), letters)
            return cast(is_own[:, None] * letter[None, :], "float32" if stddev else "int32")

        @federated_computation(
            FederatedType((np.int32, [self.max_length]), CLIENTS),
            FederatedType(prefixes_type, SERVER),
            FederatedType(np.int32, SERVER),
        )
        def votes(word: Any, prefixes: Any, length: Any) -> Any:
            cast_ = federated_map(vote, (word, federated_broadcast(prefixes), federated_broadcast(length)))
            return federated_noised_sum(cast_, stddev) if stddev else federated_sum(cast_)

        return votes

    def question(self, trie: Trie) -> dict[str, Any]:
        """The arguments of `votes` that the server has: the open prefixes, and how long they are."""
        prefixes = np.full((self.most, self.max_length), len(self.alphabet) + 1, np.int32)
        for row, prefix in zip(prefixes, trie.open, strict=False):
            row[:] = self._encoded(prefix)
        return {"prefixes": prefixes, "length": np.int32(_length(trie))}

    def grown(self, trie: Trie, votes: Any) -> Trie:
        """The trie after a round's votes."""
        counts = np.asarray(votes, np.float64)[: len(trie.open)]
        order = np.argsort(-counts, axis=None, kind="stable")
        words: dict[str, float] = {}
        longer: list[str] = []
        length = _length(trie) + 1
        for place in order[counts.flat[order] >= self.threshold]:
            prefix, letter = trie.open[place // counts.shape[1]], int(place % counts.shape[1])
            if letter == _END:
                words[prefix] = float(counts.flat[place])
            elif length == self.max_length:
                words[prefix + self.alphabet[letter - 1]] = float(counts.flat[place])
            else:
                longer.append(prefix + self.alphabet[letter - 1])
        found = trie.words | {word: count for word, count in words.items() if word}
        ranked = dict(sorted(found.items(), key=lambda item: -item[1]))
        return Trie(tuple(longer[: self.most]), ranked, is_complete=not longer)

    def find(self, cohorts: Iterable[Sequence[Array] | None]) -> dict[str, float]:
        """The words that a trie comes to, with their votes in the round in which they ended.

        Args:
            cohorts: the clients' words of each round, encoded; None where devices have them. It ends with them, or
                where nothing is open, after `max_length` rounds at the latest.
        """
        trie = Trie()
        for cohort in cohorts:
            words = {} if cohort is None else {"word": cohort}
            trie = self.grown(trie, self.votes(**words, **self.question(trie)))
            if trie.is_complete:
                break
        return trie.words

    def _encoded(self, word: str) -> Array:
        codes = [self.alphabet.find(letter) + 1 for letter in word]
        if len(codes) > self.max_length or _END in codes:
            raise MisuseError(
                f"a word has up to {self.max_length} letters of {self.alphabet!r}, found {word!r}", where=here()
            )
        return np.array([*codes, *[_END] * (self.max_length - len(codes))], np.int32)


def _length(trie: Trie) -> int:
    """How long the open prefixes are; all are of one length."""
    return len(trie.open[0]) if trie.open else 0
