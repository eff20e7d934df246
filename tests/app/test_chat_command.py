import asyncio
import json
import re
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import toy as toys

pytest.importorskip("gradio", reason="the page needs the extra `app`")

import gradio as gr

from repalign.activations import origin
from repalign.app import Chat, serving
from repalign.app.page import Page, grid
from repalign.cli.chat import chat as command
from repalign.errors import InputError, MissingExtraError
from repalign.runs import Environment, Run, now
from repalign.spans import Span


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "toy"
    words = toys.tokenizer()
    toys.network(words).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def record(folder: Path, chat: Chat, verb: str, model: Path, results: dict[str, Any]) -> Path:
    """A run with a direction, as `repalign probe` and `repalign steer` leave it."""
    chat.direction.save(folder)
    made = origin(chat.model, Span("last"))
    here = Environment.here()
    Run(
        verb=verb,
        asked={"model": str(model)},
        model=made,
        environment=here,
        started=now(),
        seconds=0.0,
        results=results,
    ).save(folder)
    return folder


@pytest.fixture
def probe(chat: Chat, model_folder: Path, tmp_path: Path) -> Path:
    chat.monitor.readout.save(tmp_path / "probe")
    return record(tmp_path / "probe", chat, "probe", model_folder, {})


@pytest.fixture
def benign(tmp_path: Path) -> str:
    rows = [
        {"prompt": "the sea", "response": said, "label": 1}
        for said in ("the moon is true", "the hill is false", "the lamp is right", "wrong")
    ]
    path = tmp_path / "benign.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def _loops() -> Generator[None, None, None]:
    """Close the event loops that gradio opens for its locks and leaves behind."""
    opened, make = [], asyncio.new_event_loop

    def tracked() -> asyncio.AbstractEventLoop:
        opened.append(make())
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", tracked)
        yield
    asyncio.set_event_loop(None)
    for loop in opened:
        loop.close()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, _loops: None) -> dict[str, Any]:
    """What was asked of the server, in whose place nothing is started."""
    found: dict[str, Any] = {}

    def serve(page: Page, host: str, port: int | None) -> str:
        found.update(config=page.blocks.get_config_file(), host=host, port=port)
        return "http://127.0.0.1:7860/"

    monkeypatch.setattr(serving, "serve", serve)
    monkeypatch.setattr(gr.Blocks, "block_thread", lambda blocks: None)
    return found


def slider(served: dict[str, Any]) -> dict[str, Any]:
    parts = served["config"]["components"]
    return next(p["props"] for p in parts if p["props"].get("elem_id") == "coefficient")


def test_the_page_is_served_to_this_machine_only(
    probe: Path, benign: str, served: dict[str, Any]
) -> None:
    command(probe=probe, benign=benign, fpr=0.25)
    assert served["host"] == "127.0.0.1"
    assert (slider(served)["minimum"], slider(served)["maximum"]) == (-3.0, 3.0)
    assert served["config"]["analytics_enabled"] is False
    # The threshold was set on the benign answers, and colours lie around theirs.
    shown = str([part["props"].get("value") for part in served["config"]["components"]])
    assert re.search(r"Answers below \S+ are flagged", shown)
    assert "toy" in shown


def test_the_slider_goes_as_far_as_a_steer_run_found_harmless(
    probe: Path,
    benign: str,
    served: dict[str, Any],
    chat: Chat,
    model_folder: Path,
    tmp_path: Path,
) -> None:
    site = str(chat.direction.site)
    calibration = {"low": -1.25, "high": 2.5}
    results = {"site": site, "by_site": {site: {"calibration": calibration}}}
    steer = record(tmp_path / "steer", chat, "steer", model_folder, results)
    command(probe=probe, steer=steer, benign=benign, fpr=0.25)
    assert (slider(served)["minimum"], slider(served)["maximum"]) == (-1.25, 2.5)


def test_without_gradio_the_message_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, probe: Path
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "repalign.app.page")
    with pytest.raises(MissingExtraError, match=r"repalign\[app\]"):
        command(probe=probe)


def test_a_public_link_is_refused(probe: Path) -> None:
    with pytest.raises(InputError, match="no public links"):
        command(probe=probe, share=True)


def test_folders_that_hold_something_else_are_refused(probe: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no probe"):
        command(probe=tmp_path)
    with pytest.raises(InputError, match="a run of `repalign probe`"):
        command(probe=probe, steer=probe)


@pytest.mark.parametrize(("low", "high"), [(1.0, 2.0), (0.0, 0.0), (-1.0, float("inf"))])
def test_a_slider_without_0_is_refused(low: float, high: float) -> None:
    with pytest.raises(InputError, match="around 0"):
        grid(low, high)


@pytest.mark.parametrize(("low", "high"), [(-3.0, 3.0), (-7.32, 12.8), (-0.013, 0.4), (0.0, 64.0)])
def test_0_is_on_the_grid_of_every_slider(low: float, high: float) -> None:
    first, last, step = grid(low, high)
    assert low <= first <= 0 <= last <= high
    assert first / step == pytest.approx(round(first / step))
    assert first - low < step
    assert high - last < step
    assert 40 <= (high - low) / step <= 150
