"""What is learned of many clients' values, against NumPy on all of them together."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.analytics.distinct import standard_error
from federated.language.errors import MisuseError
from tests.federated.pages import run_page

pytestmark = pytest.mark.tensorflow

CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {"local": fed.local_context, "plan": fed.plan_context}


def clients(seed: int = 0) -> list[list[float]]:
    """Thirty clients with up to twenty values each, some with none."""
    random = np.random.default_rng(seed)
    return [list(random.normal(10, 4, size=size).astype(np.float32)) for size in random.integers(0, 20, size=30)]


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_histogram_counts_every_value_once(context: str) -> None:
    data = clients()
    with CONTEXTS[context]():
        counts = fed.analytics.build_histogram(0.0, 20.0, 16)(data)
    values = np.clip(np.concatenate(data), 0, np.nextafter(np.float32(20), np.float32(0)))
    np.testing.assert_array_equal(counts, np.histogram(values, 16, (0, 20))[0])


@pytest.mark.parametrize("context", CONTEXTS)
def test_quantiles_are_right_to_within_a_bin(context: str) -> None:
    data = clients(1)
    wanted = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]
    with CONTEXTS[context]():
        found = fed.analytics.build_quantiles(wanted, -10.0, 30.0, bins=400)(data)
    np.testing.assert_allclose(found, np.quantile(np.concatenate(data), wanted), atol=2 * 40 / 400)


def test_quantiles_of_nothing_are_nan() -> None:
    assert np.isnan(fed.analytics.build_quantiles([0.5], 0.0, 1.0)([[], []])).all()


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("count", [0, 1, 40, 3000])
def test_distinct_items_are_counted_once_whoever_has_them(context: str, count: int) -> None:
    random = np.random.default_rng(count)
    items = random.integers(-(2**31), 2**31, size=count).astype(np.int32)
    data = [list(items[random.permutation(count)[: (2 * count) // 3]]) for _ in range(3)] + [list(items)]
    with CONTEXTS[context]():
        found = fed.analytics.build_distinct_count(precision=10)(data)
    assert abs(found - count) <= max(1, 3 * standard_error(10) * count)


def test_bounds_that_are_no_interval_are_refused() -> None:
    with pytest.raises(MisuseError, match="lower < upper"):
        fed.analytics.build_histogram(1.0, 1.0, 4)
    with pytest.raises(MisuseError, match="from 0 to 1"):
        fed.analytics.build_quantiles([1.5], 0.0, 1.0)
    with pytest.raises(MisuseError, match="from 4 to 14"):
        fed.analytics.build_distinct_count(3)


def test_the_page_says_what_is_so_and_names_every_public_name() -> None:
    page = Path(__file__).parents[3] / "docs" / "analytics.md"
    run_page(page)
    names = set(fed.analytics.__all__) - {"Trie"}  # what `HeavyHitters` gives
    assert {name for name in names if f"`{name}(" not in page.read_text()} == set()
