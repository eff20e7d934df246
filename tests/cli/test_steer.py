import csv
import json
from pathlib import Path

import pytest
import toy as toys
from cli_types import Shell


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """Questions with a right and a wrong answer."""
    path = tmp_path / "asked.csv"
    columns = ("prompt", "response", "label", "group", "question", "answer", "alternative")
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        for index in range(20):
            noun, other = toys.NOUNS[index % 10], toys.NOUNS[(3 * index + 1) % 10]
            question = f"is the {noun} {other} and the {toys.NOUNS[index // 2]}"
            rows.writerow([question, "true", 1, f"q{index}", question, "true", "false"])
    return path


@pytest.fixture
def words(
    model_folder: Path, topics: dict[str, Path], asked: Path, tmp_path: Path
) -> tuple[str | Path, ...]:
    """The words of a quick run."""
    data = ("--data", topics["one"], "--questions", asked, "--benign", topics["two"])
    quick = ("--points", "5", "--answers", "2", "--new-tokens", "3", "--refusal", "none")
    return ("steer", "-m", model_folder, *data, *quick, "--sites", "1,2", "--out", tmp_path / "run")


def test_a_run_holds_curves_controls_and_a_report(
    shell: Shell, words: tuple[str, ...], tmp_path: Path
) -> None:
    ended = shell(*words, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["site"] in ("L1.resid_post", "L2.resid_post")
    assert set(found["by_site"]) == {"L1.resid_post", "L2.resid_post"}
    honest = found["curves"]["honest"]
    calibration = found["by_site"][found["site"]]["calibration"]
    assert [honest[0]["coefficient"], honest[-1]["coefficient"]] == [
        calibration["low"],
        calibration["high"],
    ]
    assert max(point["worst_kl"]["value"] for point in (honest[0], honest[-1])) <= 0.5
    assert sum(name.startswith("random") for name in found["curves"]) == 8
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["verb"] == "steer"
    assert record["asked"]["target_kl"] == 0.5  # defaults too
    assert {name: part["examples"] for name, part in record["data"].items()} == {
        record["asked"]["data"]: 48,
        record["asked"]["questions"]: 20,
        record["asked"]["benign"]: 48,
    }
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Dose and response" in page
    assert f"{honest[0]['effect']['value']:.2f}".replace("-", "−") in page
    assert (tmp_path / "run" / "direction.safetensors").is_file()
    # The tables for a person come from the same record.
    shown = shell("show", tmp_path / "run")
    assert shown.code == 0, shown.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--points", "6"), "is odd"),
        (("--sites", "9"), "There is no site"),
        (("--questions", "cities"), "lack one of question"),
        (("--data", "benign"), "have no label"),
        (("--target-kl", "0"), "positive number of nats"),
        (("--span", "answer"), "answer"),
    ],
)
def test_what_cannot_be_steered_is_refused_in_one_line(
    shell: Shell, words: tuple[str, ...], more: tuple[str, str], message: str
) -> None:
    ended = shell(*words, *more)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.strip().splitlines()[-1].startswith("repalign: ")
    assert "Traceback" not in ended.err
