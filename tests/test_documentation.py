"""The documents say what the product does: every command, option and error code is described."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from device_sdk import cli as device_cli
from federated.cli import main as fedelta_cli
from orchestrator.api.problems import STATUS
from plans.manifest import FEATURES, Kind
from wire.errors import ErrorCode

ROOT = Path(__file__).parents[1]
COMMANDS = (ROOT / "docs" / "commands.md").read_text()
PLANS = (ROOT / "docs" / "plans.md").read_text()
ERRORS = (ROOT / "docs" / "errors.md").read_text()


def test_every_error_code_is_described_with_its_status() -> None:
    rows = {line.split("`")[1]: line for line in ERRORS.splitlines() if line.startswith("| `")}
    assert rows.keys() == {code.value for code in ErrorCode}
    assert all(f"| {STATUS[code].value} |" in rows[code.value] for code in ErrorCode)


def test_every_feature_and_every_kind_of_aggregation_of_a_plan_is_described() -> None:
    kinds = {kind.value for kind in Kind}
    assert {name for name in FEATURES | kinds if f"`{name}`" not in PLANS} == set()


def test_every_command_and_option_of_fedelta_is_described() -> None:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for command in fedelta_cli.commands():
        assert f"### fedelta {command.name}\n" in COMMANDS
        command.add_arguments(subparsers.add_parser(command.name))
    assert {option for option in _options(parser) if f"`{option}`" not in COMMANDS} == set()


def test_every_command_and_option_of_fedelta_device_is_described() -> None:
    section = COMMANDS.split("## fedelta-device")[1]
    assert {option for option in _options(device_cli.parser()) if f"`{option}`" not in section} == set()


def test_the_relative_links_of_the_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{document.name}: {target}"
        for document in documents
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert broken == []


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # argparse has no public way to list them
        yield from (name for name in action.option_strings if name.startswith("--") and name != "--help")
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _options(subparser)
