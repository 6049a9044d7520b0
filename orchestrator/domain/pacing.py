"""When a device that got no work should come back."""


def retry_after_seconds(interval_seconds: float, draw: float) -> float:
    """A time around the check-in interval, spread so that devices that came together do not come back together.

    Args:
        draw: a random number in [0, 1).
    """
    return interval_seconds * (0.5 + draw)
