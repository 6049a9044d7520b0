"""What is told of, and how often."""

TOLD_OF_REPORTS = 20
"""Of a round's reports, at most so many events say how many there are: a cohort of thousands is no flood."""


def is_told(reported: int, goal: int) -> bool:
    """Whether the event of this report is told: every twentieth part of the goal has one, and a small goal each."""
    return reported * TOLD_OF_REPORTS // goal > (reported - 1) * TOLD_OF_REPORTS // goal
