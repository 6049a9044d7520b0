"""What the compiler refuses, it refuses with the user's line and a way out, in the words that are written down.

A message that is changed on purpose is written down with `python -m tests.federated.compiler.test_refusals`.
"""

import re
from pathlib import Path

import pytest

from federated.language.errors import CompilationError, MisuseError
from tests.federated.compiler.refusals import COMPILING

pytestmark = pytest.mark.tensorflow

KEPT = Path(__file__).parents[2] / "golden" / "compiler_errors.txt"


def _said(title: str) -> str:
    return f"## {title}\n\n{re.sub(r'(?<=[.]py):[0-9]+', ':…', COMPILING[title].text())}\n\n"


def _kept() -> dict[str, str]:
    parts = re.split(r"^(?=## )", KEPT.read_text(), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0].removeprefix("## "): part for part in parts}


@pytest.mark.parametrize("title", COMPILING)
def test_a_refusal_says_what_is_written_down_with_a_line_and_a_fix(title: str) -> None:
    error = COMPILING[title].refusal()
    assert isinstance(error, CompilationError | MisuseError)
    assert "refusals.py" in str(error.where)
    assert error.fix
    assert _said(title) == _kept()[title]


def test_nothing_else_is_written_down() -> None:
    assert list(_kept()) == list(COMPILING)


if __name__ == "__main__":
    KEPT.write_text("".join(_said(title) for title in COMPILING))
