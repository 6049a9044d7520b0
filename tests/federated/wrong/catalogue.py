"""Small wrong programs by their titles, and what is said to each: the entries of docs/reference/errors.md."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from federated.language.errors import FederatedError

Catalogue = dict[str, "Wrong"]


@dataclass(frozen=True)
class Wrong:
    """A program that is refused.

    Attributes:
        title: what is wrong with it, which is its heading in the reference.
    """

    title: str
    program: Callable[[], object]

    def refusal(self) -> FederatedError:
        """What it is refused with."""
        try:
            self.program()
        except FederatedError as error:
            return error
        raise AssertionError(f"{self.title}: this program is not refused")

    def text(self) -> str:
        """The full text of the refusal, with the numbers of lines taken out."""
        error = self.refusal()
        return re.sub(r"(\.py):\d+:", r"\1:…:", f"{type(error).__name__}: {error}")


def entry(catalogue: Catalogue, title: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """A decorator: the function is the wrong program of this title."""

    def add(program: Callable[[], object]) -> Callable[[], object]:
        assert title not in catalogue, title
        catalogue[title] = Wrong(title, program)
        return program

    return add


def written(catalogue: Catalogue) -> str:
    """A catalogue as it stands in the golden file."""
    return "\n".join(f"## {wrong.title}\n\n{wrong.text()}\n" for wrong in catalogue.values())
