"""Which checkpoints a task keeps."""

from collections.abc import Collection

from wire.operator_messages import RoundPolicy


def expendable(
    round_numbers: Collection[int], labelled: Collection[int], needed_from: int, policy: RoundPolicy
) -> frozenset[int]:
    """The rounds whose checkpoints go.

    Args:
        round_numbers: of all checkpoints that are there.
        labelled: those with a label, which stay.
        needed_from: the first round whose checkpoint somebody may still read: an open round, or a task that evaluates
            them all; it and all later ones stay.
    """
    if policy.keep_last is None:
        return frozenset()
    older = sorted(round_numbers)[: -policy.keep_last]
    return frozenset(
        number
        for number in older
        if number not in labelled
        and number < needed_from
        and not (policy.keep_every and number % policy.keep_every == 0)
    )
