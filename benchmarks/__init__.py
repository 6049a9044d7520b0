"""Measurements that a person runs: ratios, side by side in one run. Nothing of the product imports them."""
