"""Writes down every refusal of the federated language: `python -m tests.golden.make_federated_errors`.

A new catalogue of wrong programs is one more row of `CATALOGUES`; its entries have headings in
docs/reference/errors.md. Those of `WITH_TENSORFLOW` load it when they are made.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tests.federated.wrong.catalogue import Catalogue, written
from tests.federated.wrong.compiling import COMPILING
from tests.federated.wrong.fleet import FLEET
from tests.federated.wrong.language import LANGUAGE
from tests.federated.wrong.local import LOCAL
from tests.federated.wrong.running import RUNNING

ERRORS = Path(__file__).parent / "federated_errors.txt"

CATALOGUES: dict[str, Catalogue] = {
    "Writing a program": LANGUAGE,
    "Running a program": RUNNING,
    "Local computations": LOCAL,
    "Compiling a program": COMPILING,
    "Running on a fleet": FLEET,
}

WITH_TENSORFLOW = ("Local computations", "Compiling a program", "Running on a fleet")


def section(name: str) -> str:
    """A part of the file, made anew."""
    return f"# {name}\n\n{written(CATALOGUES[name])}\n"


def kept() -> dict[str, str]:
    """The parts of the file as it is."""
    return {part.partition("\n")[0].removeprefix("# "): part for part in _parts(ERRORS.read_text())}


def _parts(text: str) -> Iterator[str]:
    starts = [0, *(place + 2 for place in range(len(text)) if text.startswith("\n\n# ", place)), len(text)]
    return (text[start:end] for start, end in pairwise(starts))


if __name__ == "__main__":
    ERRORS.write_text("".join(section(name) for name in CATALOGUES))
