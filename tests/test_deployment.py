"""The files of `deploy/` are what their programs read, and call the product by commands and flags that it has."""

import argparse
import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from federated.cli import main as fedelta_cli
from wire import routes

DEPLOY = Path(__file__).parents[1] / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def compose() -> dict[str, Any]:
    (document,) = documents(DEPLOY / "compose.yaml")
    return document


def containers() -> Iterator[dict[str, Any]]:
    for path in MANIFESTS:
        for document in documents(path):
            if document["kind"] == "Deployment":
                yield from document["spec"]["template"]["spec"]["containers"]


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every call of `fedelta`, with where it stands."""
    for name, service in compose()["services"].items():
        if service.get("image") == "fedelta":
            yield f"compose.yaml: {name}", service["command"]
    for container in containers():
        yield f"kubernetes: {container['name']}", container["args"]
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string((DEPLOY / "fedelta.service").read_text())
    program, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert program.endswith("/fedelta")
    yield "fedelta.service", arguments
    (last,) = re.findall(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    yield "Dockerfile", yaml.safe_load(last)


def options_of(command: str) -> set[str] | None:
    """The flags of a sub-command; None where there is no such command."""
    for known in fedelta_cli.commands():
        if known.name == command:
            parser = argparse.ArgumentParser()
            known.add_arguments(parser)
            return {option for action in parser._actions for option in action.option_strings}
    return None


# What the files use of replicas on one database and one store.
SCALED_OUT = {"--database-url", "--storage-url", "--no-worker"}


@pytest.mark.parametrize(("place", "arguments"), list(command_lines()), ids=[place for place, _ in command_lines()])
def test_every_flag_is_one_that_the_command_has(place: str, arguments: list[str]) -> None:
    command, *flags = arguments
    known = options_of(command)
    used = {flag.partition("=")[0] for flag in flags if flag.startswith("--")}
    if used & SCALED_OUT and not (options_of("serve") or set()) >= SCALED_OUT:
        pytest.skip("this version has no replicas: `fedelta serve` has no --database-url")
    assert known is not None, f"{place} calls `fedelta {command}`, which there is not"
    assert used - known == set()


def test_the_manifests_have_what_kubernetes_asks_for() -> None:
    kinds = [document["kind"] for path in MANIFESTS for document in documents(path)]
    assert sorted(kinds) == [
        *("Deployment", "Deployment", "Ingress", "PodDisruptionBudget", "Secret", "Secret", "Service"),
    ]
    for path in MANIFESTS:
        for document in documents(path):
            assert {"apiVersion", "kind", "metadata"} <= document.keys()
            if document["kind"] == "Deployment":
                labels = document["spec"]["template"]["metadata"]["labels"]
                assert document["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_every_secret_that_a_manifest_names_is_in_the_example() -> None:
    known = {document["metadata"]["name"] for document in documents(DEPLOY / "kubernetes" / "secrets.example.yaml")}
    text = "".join(path.read_text() for path in MANIFESTS)
    named = set(re.findall(r"secretRef: \{name: ([\w-]+)\}", text)) | set(
        re.findall(r"secretName: (fedelta-s[\w-]+)", text)
    )
    assert named == known


def test_probes_and_proxies_ask_paths_that_there_are() -> None:
    known = {routes.HEALTH, routes.READY, routes.METRICS}
    probed = {
        container[probe]["httpGet"]["path"] for container in containers() for probe in container if "Probe" in probe
    }
    assert probed == {routes.HEALTH, routes.READY}
    for name in ("Caddyfile", "nginx.conf", "compose.yaml"):
        asked = set(re.findall(r"/(?:healthz|readyz|metrics)\b", (DEPLOY / name).read_text()))
        assert asked
        assert asked <= known
    assert "location ~ ^/v1/(events|tasks/[^/]+/events)$" in (DEPLOY / "nginx.conf").read_text()
    assert (routes.EVENTS, routes.task_events("a")) == ("/v1/events", "/v1/tasks/a/events")


def test_compose_waits_for_services_that_it_has_and_names_every_volume_and_variable() -> None:
    document = compose()
    services = document["services"]
    assert (services["web"]["deploy"]["replicas"], services["worker"]["deploy"]["replicas"]) == (3, 2)
    for service in services.values():
        assert set(service.get("depends_on", {})) <= services.keys()
        volumes = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert {name for name in volumes if not name.startswith(".")} <= document["volumes"].keys()
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    given = set(re.findall(r"^(\w+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert used == given


def test_the_proxy_of_compose_knows_every_replica() -> None:
    document = compose()
    replicas = document["services"]["web"]["deploy"]["replicas"]
    named = set(re.findall(r"[\w-]+:8700", (DEPLOY / "Caddyfile").read_text()))
    assert named == {f"{document['name']}-web-{number}:8700" for number in range(1, replicas + 1)}


def test_the_image_copies_every_package() -> None:
    copied = set(re.findall(r"^COPY (\w+) \w+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    packages = {"alembic", "wire", "plans", "model_export", "device_sdk", "orchestrator", "federated"}
    assert copied == packages


@pytest.mark.parametrize("name", ["Caddyfile", "nginx.conf"])
def test_the_braces_of_a_proxys_file_match(name: str) -> None:
    depth = 0
    for character in re.sub(r"#.*", "", (DEPLOY / name).read_text()):
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
