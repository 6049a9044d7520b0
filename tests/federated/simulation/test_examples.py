"""The examples on real data learn; the data is no part of the project, FEDELTA_TEST_DATA names its folder."""

import gzip
import json
import os
from pathlib import Path

import pytest

from examples import mnist_by_writer, phone_activity, shakespeare_roles, spoken_digits

DATA = Path(os.environ.get("FEDELTA_TEST_DATA", "../shared/data"))
WRITERS = DATA / "mnist_by_writer" / "small_30_writers.npz"
WINDOWS = DATA / "har_phone" / "windows.npz"
DIGITS = DATA / "spoken_digits" / "spoken_digits.npz"
ROLES = DATA / "shakespeare_roles" / "roles.jsonl.gz"

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(600)]


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"there is no {path}; FEDELTA_TEST_DATA names its folder")


@needs(WRITERS)
def test_thirty_writers_teach_what_is_known_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    result = mnist_by_writer.main([str(WRITERS), "--rounds", "50"])
    assert result.column("evaluation/accuracy")[50] == pytest.approx(0.885, abs=0.015)
    assert "round  50: test accuracy 0.8" in capsys.readouterr().out


@needs(WRITERS)
def test_server_momentum_and_a_decaying_rate_teach_the_cnn_sooner() -> None:
    options = [str(WRITERS), "--model", "cnn", "--rounds", "20"]
    plain = mnist_by_writer.main(options)
    helped = mnist_by_writer.main([*options, "--server-momentum", "0.9", "--decay", "0.985"])
    accuracies = [run.column("evaluation/accuracy")[20] for run in (plain, helped)]
    assert accuracies[1] > accuracies[0] + 0.02


@needs(WINDOWS)
def test_phones_of_others_teach_what_somebody_is_doing() -> None:
    runs = phone_activity.main([str(WINDOWS), "--rounds", "10"])
    # The most frequent of the six activities is a fifth of the windows.
    assert runs["federated"].column("evaluation/accuracy")[10] > 0.7
    assert runs["in one place"].column("evaluation/accuracy")[10] > 0.8


@needs(DIGITS)
def test_speakers_teach_their_digits() -> None:
    runs = spoken_digits.main([str(DIGITS), "--rounds", "10"])
    # Each digit is a tenth of the recordings.
    assert runs["federated"].column("evaluation/accuracy")[10] > 0.4
    assert runs["in one place"].column("evaluation/accuracy")[10] > 0.8


@needs(ROLES)
def test_roles_teach_more_than_the_most_frequent_character(tmp_path: Path) -> None:
    with gzip.open(ROLES, "rt") as lines:
        longest = sorted(lines, key=len)[-20:]
    with gzip.open(tmp_path / "roles.jsonl.gz", "wt") as some:
        some.writelines(longest)
    runs = shakespeare_roles.main([str(tmp_path / "roles.jsonl.gz"), "--rounds", "20"])
    text = "".join("".join(json.loads(line)["speeches"]) for line in longest)
    most_frequent = max(text.count(character) for character in set(text)) / len(text)
    assert runs["federated"].column("evaluation/accuracy")[20] > most_frequent + 0.03


@pytest.mark.parametrize("example", [mnist_by_writer, phone_activity, shakespeare_roles, spoken_digits])
def test_without_its_data_an_example_says_what_it_needs(
    example: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        example.main([str(tmp_path / "none")])  # type: ignore[attr-defined]
    assert f"there is no {tmp_path / 'none'}; --help says what it holds" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        example.main(["--help"])  # type: ignore[attr-defined]
    assert " holds " in capsys.readouterr().out
