"""The pages on learning: every block runs, every algorithm has its page, and a page names every parameter."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import federated as fed
from tests.federated.pages import run_page

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = DOCS / "learning.md"
INDEX = DOCS / "algorithms" / "README.md"
PAGES = [INDEX.parent / name for name in re.findall(r"^\| \[.*?\]\((.*?)\)", INDEX.read_text(), re.MULTILINE)]
BUILDERS = fed.learning.algorithms.__all__


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the guide has defined when it is through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("guide"))
        return run_page(GUIDE)


def test_the_blocks_of_the_guide_run_and_give_what_it_says(guide: dict[str, Any]) -> None:
    assert len(guide["clients"]) == 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_the_blocks_of_an_algorithm_run_with_the_model_and_the_clients_of_the_guide(
    page: Path, guide: dict[str, Any]
) -> None:
    run_page(page, module={"__name__": "page", **{name: guide[name] for name in ("fed", "np", "model", "clients")}})


@pytest.mark.parametrize("builder", BUILDERS)
def test_every_builder_has_a_page_that_calls_it_and_names_its_parameters(builder: str) -> None:
    (page,) = [text for text in (page.read_text() for page in PAGES) if f"algorithms.{builder}(" in text]
    parameters = inspect.signature(getattr(fed.learning.algorithms, builder)).parameters
    assert {name for name in parameters if f"`{name}`" not in page} == set()
