"""The bar that a person watches."""

import pytest

from device_sdk.progress import StepBar


def test_a_bar_counts_the_steps_of_one_work_after_another(capsys: pytest.CaptureFixture[str]) -> None:
    bar = StepBar()
    for total in (3, 2):
        for done in range(1, total + 1):
            bar(done, total)
    shown = capsys.readouterr().err
    assert "/3 [" in shown
    assert "/2 [" in shown
