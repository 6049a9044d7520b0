"""The pages on aggregators: their blocks run, and every public name is on them."""

from pathlib import Path

import pytest

import federated as fed
from tests.federated.pages import run_page

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "page", ["aggregators.md", "algorithms/differential-privacy.md", "algorithms/robust-aggregation.md"]
)
def test_the_blocks_of_a_page_give_what_it_says(page: str) -> None:
    run_page(DOCS / page)


def test_every_factory_is_on_the_page() -> None:
    text = (DOCS / "aggregators.md").read_text()
    records = {"AggregationFactory", "AggregationProcess", "EstimationProcess", "MeasuredProcessOutput", "Mechanism"}
    assert {name for name in set(fed.aggregators.__all__) - records if f"`{name}" not in text} == set()
