"""The page in a browser: the command, the embedded model, a small probe and a real Chromium.

The server is a process of its own, as users run it; what gradio leaves open there is not ours.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from repalign import datasets
from repalign.app import Conversation, Shading
from repalign.models import LanguageModel
from repalign.storage import cache_dir

pytest.importorskip("gradio", reason="the page needs the extra `app`")
playwright = pytest.importorskip("playwright.sync_api", reason="the page is driven by playwright")

ROOT = Path(__file__).parents[2]
SHOT = ROOT / "docs" / "images" / "chat.png"
# Where the user's converted model lies, read before the tests get a cache of their own.
USERS_CACHE = cache_dir()
# The command, with a line for every place outside this machine that the server would turn to.
COMMAND = """
import sys
def watch(event, details):
    if event == "socket.connect" and isinstance(details[1], tuple):
        if details[1][0] not in ("127.0.0.1", "::1", "localhost"):
            print("OUTSIDE", details[1], flush=True)
sys.addaudithook(watch)
import typer
from repalign.cli.chat import chat
typer.run(chat)
"""
EVIL = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'> ${1+1} {{value}}"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser() -> Generator[Any, None, None]:
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine; install the package chromium")
    with playwright.sync_playwright() as driver:
        # Its own sandbox cannot be set up by root, as whom containers run.
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


class Server(NamedTuple):
    """A running page."""

    address: str
    printed: Path


@pytest.fixture(scope="module")
def server(
    browser: Any, run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server, None, None]:
    folder = tmp_path_factory.mktemp("server")
    benign = folder / "benign.jsonl"
    chats = [chat.messages for chat in datasets.load("benign", require_labels=False)[:10]]
    rows = [{"prompt": prompt, "response": said} for (_, prompt), (_, said) in chats]
    benign.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--probe", run, "--benign", benign, "--fpr", "0.1"]
    environment = {**os.environ, "REPALIGN_CACHE": str(USERS_CACHE), "PYTHONPATH": str(ROOT)}
    with (folder / "printed").open("w+") as printed:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *map(str, words)],
            stdout=printed,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            yield Server(_address(process, Path(printed.name)), Path(printed.name))
        finally:
            process.terminate()
            process.wait(timeout=30)


def _address(process: "subprocess.Popen[bytes]", printed: Path) -> str:
    """The address that a server prints once it is ready."""
    for _ in range(1200):
        found = re.search(r"http://127\.0\.0\.1:[0-9]+/", printed.read_text())
        if found:
            return found[0]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(f"The page did not start:\n{printed.read_text()}")


class Visitor:
    """What a person does on the page, and everything that the browser asked for meanwhile."""

    def __init__(self, browser: Any, address: str) -> None:
        self.page = browser.new_page(viewport={"width": 1280, "height": 740})
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)
        self.set("length", 24)

    def set(self, name: str, value: float) -> None:
        box = f"#{name} input[type=number]"
        self.page.fill(box, str(value))
        self.page.press(box, "Tab")

    def write(self, message: str) -> None:
        self.page.fill("#message textarea", message)
        self.page.press("#message textarea", "Enter")

    def say(self, message: str) -> int:
        """Send a message and wait for both answers; which turn it is, from 1."""
        number = self.page.locator(".turn").count() + 1
        self.write(message)
        self.page.wait_for_selector(f".turn:nth-child({number}) .plain.finished", timeout=60000)
        return number

    def tokens(self, turn: int, column: str) -> list[dict[str, Any]]:
        """Text, numbers and computed colour of every token."""
        return self.page.eval_on_selector_all(
            f".turn:nth-child({turn}) .{column} .token",
            """tokens => tokens.map(token => ({
                text: token.textContent,
                score: Number(token.dataset.score),
                probability: Number(token.dataset.probability),
                colour: getComputedStyle(token).backgroundColor,
            }))""",
        )


@pytest.fixture
def visitor(browser: Any, server: Server) -> Generator[Visitor, None, None]:
    made = Visitor(browser, server.address)
    yield made
    made.page.close()
    assert made.errors == []


def exported(visitor: Visitor) -> dict[str, Any]:
    with visitor.page.expect_download() as download:
        visitor.page.click("#export")
    assert download.value.suggested_filename == "conversation.json"
    return json.loads(Path(download.value.path()).read_text())


def parts(colour: str) -> list[float]:
    """Red, green, blue and strength of a CSS colour."""
    found = [float(number) for number in re.findall(r"[0-9.]+", colour)]
    return found if len(found) == 4 else [*found, 1.0]


def test_tokens_have_the_colours_of_their_scores_and_the_slider_steers(
    visitor: Visitor,
) -> None:
    first = visitor.say("What is the capital of France?")
    steered, plain = (visitor.tokens(first, column) for column in ("steered", "plain"))
    assert steered == plain  # the slider stands at 0
    assert len(plain) > 5
    ordinary = exported(visitor)["monitor"]["calibration"]
    shading = Shading(ordinary["token_median"], ordinary["token_spread"])
    for token in plain:
        wanted = parts(shading.of_score(token["score"]))
        # Browsers keep strength in steps of 1/255.
        assert parts(token["colour"])[3] == pytest.approx(wanted[3], abs=0.005)
        assert wanted[3] == 0 or parts(token["colour"])[:3] == wanted[:3]
    assert len({token["colour"] for token in plain}) > 3

    visitor.set("coefficient", -3)
    second = visitor.say("Is Lyon the capital of France?")
    steered, plain = (visitor.tokens(second, column) for column in ("steered", "plain"))
    assert [token["text"] for token in steered] != [token["text"] for token in plain]
    means = [sum(t["score"] for t in row) / len(row) for row in (steered, plain)]
    assert means[0] < means[1]
    head = visitor.page.inner_text(f".turn:nth-child({second}) .steered header")
    assert "Steered by −3" in head

    visitor.page.check("#colour input[value=Probability]")
    for token in visitor.tokens(second, "plain"):
        wanted = parts(shading.of_probability(token["probability"]))
        assert parts(token["colour"])[3] == pytest.approx(wanted[3], abs=0.005)
    assert visitor.page.is_visible(".by-probability")
    assert not visitor.page.is_visible(".by-honesty")


def test_ablation_switches_the_slider_off(visitor: Visitor) -> None:
    visitor.set("coefficient", 2)
    visitor.page.check("#ablate input")
    visitor.page.wait_for_selector("#coefficient input[type=range]:disabled")
    turn = visitor.say("Is Lyon the capital of France?")
    assert visitor.page.inner_text(f".turn:nth-child({turn}) .steered header b") == (
        "Direction ablated"
    )
    rows = [visitor.tokens(turn, column) for column in ("steered", "plain")]
    assert rows[0][0]["score"] != rows[1][0]["score"]


def test_nothing_written_is_run_and_nothing_leaves_the_machine(
    visitor: Visitor, server: Server
) -> None:
    address = server.address
    turn = visitor.say(EVIL)
    assert visitor.page.inner_text(f".turn:nth-child({turn}) .said") == EVIL
    assert visitor.page.evaluate("window.hacked") is None
    assert visitor.page.locator("#talk script, #talk img").count() == 0
    assert len(visitor.requests) > 10
    assert [
        url for url in visitor.requests if not url.startswith((address, "blob:", "data:"))
    ] == []
    # Also what a text might bring about later is stopped by the browser.
    policy = visitor.page.request.get(address).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert visitor.page.request.get(address, headers={"Host": "evil.example"}).status == 400
    assert "OUTSIDE" not in server.printed.read_text()


def test_an_export_is_the_conversation_on_the_page(
    visitor: Visitor, smollm2: LanguageModel
) -> None:
    visitor.set("coefficient", 1.5)
    turn = visitor.say("Is Lyon the capital of France?")
    shown = visitor.tokens(turn, "steered")
    record = exported(visitor)
    conversation = Conversation.of_record(record["turns"])
    (only,) = conversation.turns
    assert only.settings.coefficient == 1.5
    assert [token.score for token in only.steered.watched.tokens] == [t["score"] for t in shown]
    assert only.steered.text == "".join(token["text"] for token in shown)
    assert record["model"]["weights"] == smollm2.fingerprint

    visitor.page.click("#clear")
    visitor.page.wait_for_selector(".invitation")
    assert visitor.page.locator(".turn").count() == 0


def test_an_answer_can_be_stopped_and_a_closed_page_stops_its_own(
    visitor: Visitor, browser: Any, server: Server
) -> None:
    visitor.set("length", 400)
    visitor.write("Tell me a long story about the sea.")
    visitor.page.wait_for_selector(".turn:nth-child(1) .token")
    visitor.page.click("#stop")
    visitor.set("length", 8)
    # While it stops, the page passes over what is sent, and keeps it in the box.
    while visitor.page.locator(".turn").count() == 1:
        visitor.write("Thank you.")
        visitor.page.wait_for_timeout(500)
    visitor.page.wait_for_selector(".turn:nth-child(2) .plain.finished", timeout=60000)
    assert visitor.page.locator(".turn:nth-child(1) .plain.finished").count() == 0

    other = Visitor(browser, server.address)
    other.set("length", 400)
    other.write("Tell me a long story about the sea.")
    other.page.wait_for_selector(".turn:nth-child(1) .token")
    other.page.close()
    visitor.say("Hello.")


def test_a_mistake_is_told(visitor: Visitor) -> None:
    visitor.write("   ")
    visitor.page.wait_for_selector("text=The message is empty")
    assert visitor.page.locator(".turn").count() == 0


@pytest.mark.skipif("REPALIGN_SCREENSHOT" not in os.environ, reason="REPALIGN_SCREENSHOT not set")
def test_the_screenshot_of_the_readme(visitor: Visitor) -> None:
    visitor.set("length", 56)
    visitor.set("coefficient", -2)
    visitor.say("Is Lyon the capital of France?")
    visitor.set("coefficient", 2)
    turn = visitor.say("Are you sure?")
    visitor.page.hover(f".turn:nth-child({turn}) .steered .token:nth-child(3)")
    SHOT.parent.mkdir(parents=True, exist_ok=True)
    visitor.page.screenshot(path=SHOT)
