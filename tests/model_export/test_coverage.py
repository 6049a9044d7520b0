"""The page on what can be trained says what the registry says."""

from pathlib import Path

import pytest

from federated.cli.main import main
from model_export import coverage
from model_export.lowering.registry import lowering_of

pytestmark = pytest.mark.tensorflow

PAGE = Path(__file__).parents[2] / "docs" / "what-can-be-trained.md"


def test_the_page_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "ops", "--markdown"]) == 0
    assert capsys.readouterr().out == PAGE.read_text(), "make it anew: fedelta export ops --markdown > " + str(PAGE)


def test_every_op_has_one_family_and_a_lowering() -> None:
    ops = [op for family in coverage.families() for op in family.ops]
    assert len(ops) == len(set(ops))
    assert all(lowering_of(op) is not None for op in ops)
    assert not set(ops) & set(coverage.copied_ops())


def test_a_terminal_gets_a_family_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "ops"]) == 0
    output = capsys.readouterr().out
    assert all(f"{family.name}: {family.summary}\n" in output for family in coverage.families())
