"""The pages on the federated language: every block runs and gives what it says, and the tables leave nothing out."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import federated as fed
from federated.language.intrinsics import INTRINSICS
from federated.language.notation import parse
from tests.federated.pages import run_page

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "federated-language.md"
COMING_FROM_TFF = ROOT / "docs" / "coming-from-tff.md"
README = ROOT / "README.md"
EXAMPLES = ROOT / "examples" / "README.md"


@pytest.mark.tensorflow
@pytest.mark.parametrize("page", [GUIDE, COMING_FROM_TFF], ids=lambda page: str(page.name))
def test_the_blocks_of_a_page_run_and_give_what_it_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page)


def test_a_page_that_says_what_is_not_so_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)  # 3\n```\n")
    with pytest.raises(AssertionError, match="promises\n3"):
        run_page(page)


def test_a_program_of_tensorflow_federated_runs_with_another_import() -> None:
    theirs, ours = re.findall(r"```py(?:thon)?\n(.*?)```", COMING_FROM_TFF.read_text(), re.DOTALL)[:2]
    renamed = theirs.replace("tensorflow_federated as tff", "federated as fed")
    assert renamed.replace("tff.tensorflow.computation", "fed.tf_computation").replace("tff.", "fed.") == ours


def test_the_table_of_operators_has_every_operator_with_its_rule_and_its_parameters() -> None:
    rows = {_plain(rule): _plain(call) for call, rule, _ in _rows(GUIDE, "## Operators")}
    assert len(rows) == len(set(map(_rule, INTRINSICS))), "two rows have one rule, or a row is missing or too many"
    for name, operator in INTRINSICS.items():
        calls = [_plain(call) for call, rule, _ in _rows(GUIDE, "## Operators") if _plain(rule) == _rule(name)]
        function = re.sub(r"_at_clients$|_at_server$", "", name).replace("_weighted", "")
        given = ", ".join(_parameters(function, len(operator.parameters), name))
        assert f"fed.{function}({given})" in calls


def test_the_table_of_types_says_how_each_is_written() -> None:
    rows = [(_plain(python), _plain(notation)) for python, notation, _ in _rows(GUIDE, "## Types")]
    assert len(rows) > len({type(parse(notation)) for _, notation in rows}) == 5
    for python, notation in rows:
        assert str(eval(python, {"fed": fed, "np": np})) == notation  # noqa: S307 - the page is ours


def test_every_public_name_is_on_a_page() -> None:
    pages = GUIDE.read_text() + COMING_FROM_TFF.read_text() + (ROOT / "docs" / "running-on-a-fleet.md").read_text()
    assert {name for name in fed.__all__ if not re.search(rf"\bfed\.{name}\b", pages)} == set()


@pytest.mark.tensorflow
@pytest.mark.parametrize("command", re.findall(r"```sh\n(python examples/\w+\.py)\n```", EXAMPLES.read_text()))
def test_an_example_says_what_its_page_says(command: str) -> None:
    (promised,) = re.findall(rf"```sh\n{command}\n```\n```text\n(.*?)```", EXAMPLES.read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, *command.split()[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # A processor, or a Python, may write a last digit, or a container, otherwise.
    assert _numbers(done.stdout) == pytest.approx(_numbers(promised), rel=1e-3)


def test_every_example_is_run_on_the_examples_page() -> None:
    elsewhere = {"digits.py"}  # in the README's quick start
    on_real_data = set(re.findall(r"`python examples/(\w+\.py) ", (ROOT / "docs" / "real-data.md").read_text()))
    programs = {path.name for path in EXAMPLES.parent.glob("*.py")} - elsewhere - on_real_data
    assert {name for name in programs if f"\npython examples/{name}\n" not in EXAMPLES.read_text()} == set()
    assert {name for name in on_real_data if f"({name})" not in EXAMPLES.read_text()} == set()


@pytest.mark.tensorflow
def test_the_program_of_the_readme_runs() -> None:
    run_page(README, blocks=slice(1))


@pytest.mark.tensorflow
def test_the_examples_run_as_plans() -> None:
    run_page(EXAMPLES, blocks=slice(1))


def _rows(page: Path, heading: str) -> Iterator[Any]:
    """The rows of three cells in a section's first table, without its head."""
    section = page.read_text().split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    yield from (line.strip("| ").split(" | ") for line in lines if not line.startswith("| ---"))


def _plain(cell: str) -> str:
    return cell.strip().strip("`")


def _rule(name: str) -> str:
    """The typing rule as the rule's own description begins."""
    found = re.match(r"`([^`]*)`", inspect.getdoc(INTRINSICS[name].rule) or "")
    assert found is not None, name
    return found[1]


def _parameters(function: str, count: int, name: str) -> list[str]:
    """What a function's first parameters are called, or the placement that is meant."""
    names = list(inspect.signature(getattr(fed, function)).parameters)
    if names[-1] == "placement":
        return [names[0], "fed.CLIENTS" if name.endswith("clients") else "fed.SERVER"]
    return names[:count]


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]
