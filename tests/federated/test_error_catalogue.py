"""Every refusal says what it said before, and the reference explains each.

A message that is changed on purpose is written down with `python -m tests.golden.make_federated_errors`.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.golden.make_federated_errors import CATALOGUES, ERRORS, WITH_TENSORFLOW, kept, section

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "errors.md").read_text()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.tensorflow] if name in WITH_TENSORFLOW else []) for name in CATALOGUES],
)
def test_the_refusals_are_those_that_are_written_down(name: str) -> None:
    if name in WITH_TENSORFLOW and find_spec("tensorflow") is None:
        pytest.skip("needs TensorFlow")
    assert section(name) == kept()[name]


def test_the_file_holds_every_catalogue_and_nothing_else() -> None:
    assert list(kept()) == list(CATALOGUES)
    assert "".join(kept().values()) == ERRORS.read_text()


# Where the line is that of a traceback: types and documents are not a part of a program.
WITHOUT_A_LINE = {
    "An object that is no type",
    "A federated value inside a federated value",
    "A text that is no type",
    "A document that is damaged",
    "A document of a newer version",
    "A loaded computation that reaches out",
}
# The message says all there is to say; these come from modules that know nothing of programs.
WITHOUT_A_FIX = {"A text that is no type"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.tensorflow] if name in WITH_TENSORFLOW else []) for name in CATALOGUES],
)
def test_every_refusal_names_the_users_line_and_a_way_out(name: str) -> None:
    refusals = {title: wrong.refusal() for title, wrong in CATALOGUES[name].items()}
    assert {title for title, error in refusals.items() if error.where is None} <= WITHOUT_A_LINE
    assert {title for title, error in refusals.items() if error.fix is None} <= WITHOUT_A_FIX
    assert not {title for title, error in refusals.items() if "at None" in str(error)}


def test_every_refusal_has_its_heading_in_the_reference_and_every_heading_its_refusal() -> None:
    titles = {title for catalogue in CATALOGUES.values() for title in catalogue}
    headings = set(re.findall(r"^### (.*)$", REFERENCE, re.MULTILINE))
    assert titles - headings == set()
    assert headings - titles == set()


def test_every_heading_of_the_reference_is_explained_with_a_fix() -> None:
    sections = re.split(r"^### ", REFERENCE, flags=re.MULTILINE)[1:]
    assert [text.splitlines()[0] for text in sections if "Fix:" not in text] == []
