"""Noise that is drawn once for many rounds: the binary tree of DP-FTRL, of which no round tells more than its path.

Kairouz, McMahan, Song, Thakkar, Thakurta and Xu, "Practical and Private (Deep) Learning without Sampling or Shuffling"
(2021), Algorithm 1 with its tree aggregation. Round t is a leaf; the sum of rounds 1 to t is made of one node for each
1 among the binary digits of t, and each node has a noise of its own. The noise in all that was released is then

    N_t = Σ ξ_node over the 1s of t        of variance popcount(t) σ²

A round releases its own part, S_t + N_t − N_{t−1}. With k zeros at the end of t, the nodes of the levels below k end
and one at level k begins: N_t − N_{t−1} = ξ_k − Σ_{j<k} ξ_j, so one noise is drawn and a few are taken away again.

The noises of the open nodes, int64 in steps of the sum's grid, are in the server's state: whoever reads it can take the
noise out of what was released. After so many rounds a new tree begins, and the noise of the old one stays.
"""

from collections import OrderedDict
from typing import Any

import numpy as np

from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation
from federated.language.containers import leaf_types, leaves, pack
from federated.language.types import StructType, StructWithPythonType, TensorType, Type


def first_nodes(value_type: Type, rounds: int) -> Computation:
    """`( -> <rounds=int32,nodes=…>)`: of the tree before its first round.

    Args:
        rounds: how many a tree is of, here and below.
    """
    levels = rounds.bit_length()
    kept = _int64(value_type, levels)
    shapes = [(levels, *(leaf.shape or ())) for _, leaf in leaf_types(value_type)]

    def first() -> Any:
        return OrderedDict(rounds=np.int32(0), nodes=pack(kept, [np.zeros(shape, np.int64) for shape in shapes]))

    return tf_computation(first)


def ended(tree_type: Type, value_type: Type, rounds: int) -> Computation:
    """`(tree -> N)`: Σ_{j<k} ξ_j, the noise of the nodes that end with the coming round."""
    kept, noise_type = _int64(value_type, rounds.bit_length()), _int64(value_type)

    @tf_computation(tree_type)
    def noise(tree: Any) -> Any:
        from federated.backends.mathematics import sum_over, where, zeros_like

        below, _ = _places(tree["rounds"], rounds)
        return pack(
            noise_type,
            [sum_over(where(_beside(below, n), n, zeros_like(n)), 0) for n in leaves(kept, tree["nodes"])],
        )

    return noise


def grown(tree_type: Type, value_type: Type, rounds: int) -> Computation:
    """`(<tree,N> -> tree)`: with the noise of the node that begins with this round."""
    kept, noise_type = _int64(value_type, rounds.bit_length()), _int64(value_type)

    @tf_computation(tree_type, noise_type)
    def tree_after(tree: Any, drawn: Any) -> Any:
        from federated.backends.mathematics import where

        _, here = _places(tree["rounds"], rounds)
        nodes = [
            where(_beside(here, before), new[None], before)
            for before, new in zip(leaves(kept, tree["nodes"]), leaves(noise_type, drawn), strict=True)
        ]
        return OrderedDict(rounds=coming(tree["rounds"], rounds), nodes=pack(kept, nodes))

    return tree_after


def coming(last: Any, rounds: int) -> Any:
    """The number of the round after the last one: t, from 1 in every tree."""
    return last % np.int32(rounds) + np.int32(1)


def _places(last: Any, rounds: int) -> tuple[Any, Any]:
    """bool[L]: the levels below k, and the level k itself, in the coming round."""
    t = coming(last, rounds)
    powers = np.array([2**level for level in range(rounds.bit_length() + 1)], np.int32)
    divides = (t % powers) <= 0  # up to 2^k, k being how many zeros t ends with
    return divides[1:], divides[:-1] & (t % powers[1:] > 0)


def _beside(places: Any, nodes: Any) -> Any:
    """A choice of levels in the rank of nodes [L, …]."""
    return places[(slice(None), *[None] * (len(nodes.shape) - 1))]


def _int64(type_: Type, levels: int | None = None) -> Type:
    """A type with int64 for its floats; with levels, as many of each."""
    if isinstance(type_, StructType):
        elements = [(name, _int64(element, levels)) for name, element in type_.items()]
        container = type_.python_container
        return StructType(elements) if container is None else StructWithPythonType(elements, container)
    assert isinstance(type_, TensorType)  # noqa: S101 - `check_floats` has looked
    return TensorType(np.int64, type_.shape if levels is None else [levels, *(type_.shape or ())])
