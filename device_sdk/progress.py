"""A bar over the steps of a work, for a person who watches."""

from typing import Any

from tqdm import tqdm


class StepBar:
    """An `on_step` that draws; each work gets a bar of its own, which goes when the work is done."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, done: int, total: int) -> None:
        """Draw so many steps."""
        if self._bar is None or done == 1:
            self._bar = tqdm(total=total, unit="step", leave=False)
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.close()
