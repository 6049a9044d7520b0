"""What can go wrong with a plan.

PlanError
├── InvalidPlanError      the bytes are not a plan, or its parts contradict each other
├── UnsupportedPlanError  a sound plan that asks for something this version does not do
├── ProgramError          a signature was called with the wrong arrays, or the runtime failed
│   └── UnfitExamplesError    a device's examples are not what the plan takes
├── ContributionError     an update that must not be counted; `code` says why
├── NoiseError            noise that there is none of, such as with a standard deviation below zero
├── ZeroWeightError       a mean over updates that weigh nothing
└── TooFewUpdatesError    fewer updates than a robust mean needs
"""

from wire.errors import ErrorCode


class PlanError(Exception):
    """The root of this package's errors."""


class InvalidPlanError(PlanError):
    """The bytes are not a plan, or its manifest and its programs contradict each other."""


class UnsupportedPlanError(PlanError):
    """The plan asks for something that this version does not do; it is refused, never run in part."""


class ProgramError(PlanError):
    """A signature was called with the wrong names, shapes or dtypes, or the runtime failed."""


class UnfitExamplesError(ProgramError):
    """A device's examples are not what the plan takes. The message may travel: it never holds one of their values."""


class ContributionError(PlanError):
    """An update must not be counted: not finite, or so large that a sum could overflow."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class NoiseError(PlanError):
    """The standard deviation of a noise is no such number: negative, not finite, or too large for the sum."""


class ZeroWeightError(PlanError):
    """The weights of a round's updates add up to zero, so that their mean is no number."""


class TooFewUpdatesError(PlanError):
    """A round's updates are too few for what its aggregation has to withstand."""
