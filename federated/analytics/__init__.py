"""Federated analytics: what can be learned of many clients' values when only sums and extremes leave them.

Each is a computation of the federated language, `(<data={T*}@CLIENTS> -> R@SERVER)`, so it runs here and on devices;
heavy hitters take several rounds of one.
"""

from federated.analytics.distinct import build_distinct_count
from federated.analytics.heavy_hitters import HeavyHitters, Trie
from federated.analytics.histogram import build_histogram
from federated.analytics.quantiles import build_quantiles

__all__ = ["HeavyHitters", "Trie", "build_distinct_count", "build_histogram", "build_quantiles"]
