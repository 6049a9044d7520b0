"""Which devices a task may select."""

from plans.manifest import Manifest, Work
from wire.messages import CheckIn
from wire.operator_messages import RoundPolicy


def ineligible_because(check_in: CheckIn, policy: RoundPolicy, manifest: Manifest, work: Work) -> str | None:
    """Why a device may not be selected for a task, or None where it may."""
    for name, wanted in policy.attributes.items():
        if check_in.attributes.get(name) != wanted:
            return f"its attribute {name!r} is not {wanted!r}"
    if lacking := sorted(set(manifest.required_features) - set(check_in.runtime.features)):
        return f"its runtime lacks the feature {lacking[0]!r}"
    held = {collection.name: collection.examples_about for collection in check_in.collections}
    for name in sorted({one.selector.collection for one in work.passes}):
        if held.get(name, 0) < policy.minimum_examples:
            return f"it holds fewer than {policy.minimum_examples} examples in {name!r}"
    return None
