"""Endpoint against a real server: `transformers serve` with the embedded model."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from repalign import behavior
from repalign.answering.endpoint import Endpoint
from repalign.answering.reply import Settings
from repalign.examples import Example
from repalign.models import LanguageModel

QUESTIONS = ["What is the capital of France?", "Name a colour of the sky."]
PATIENCE = 90.0  # seconds

# It takes a minute to start; what is said over the line is tested with servers of our own.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(smollm2: LanguageModel) -> Path:
    """Where the model lies on disk as others load it."""
    return Path(smollm2.network.config._name_or_path)


@pytest.fixture(scope="module")
def url(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that runs as long as the tests."""
    missing = [name for name in ("fastapi", "uvicorn", "openai") if find_spec(name) is None]
    if missing:
        pytest.skip(f"transformers serve needs {', '.join(missing)}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log.txt"
    command = [
        *(str(Path(sys.executable).with_name("transformers")), "serve", str(folder)),
        *("--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"),
    ]
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=os.environ)
    try:
        _wait(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"transformers serve did not start: {log.read_text()[-3000:]}")


def test_a_real_server_says_what_the_same_model_says_here(
    smollm2: LanguageModel, folder: Path, url: str
) -> None:
    prompts = [Example.of_chat(question) for question in QUESTIONS]
    here = behavior.ask(smollm2, prompts, max_new_tokens=16, rows=1)
    endpoint = Endpoint(str(folder), url, key_variable="NO_KEY_IS_NEEDED", at_once=2)
    found = [
        one for batch in endpoint.replies(prompts, Settings(max_new_tokens=16)) for one in batch
    ]
    there = {one.prompt: one.replies[0] for one in found}
    assert [there[place].text for place in range(2)] == list(here.texts)
    assert "Paris" in here.texts[0]
    assert [there[place].cut for place in range(2)] == list(here.cut)
    lengths = [len(smollm2.tokenizer(text).input_ids) for text in here.prompts]
    assert [there[place].used[0] for place in range(2)] == lengths
    assert endpoint.spent.prompt_tokens == sum(lengths)


def test_it_goes_on_with_plain_texts(smollm2: LanguageModel, folder: Path, url: str) -> None:
    prompt = Example.of_text("The capital of France is")
    here = behavior.ask(smollm2, [prompt], max_new_tokens=6)
    endpoint = Endpoint(str(folder), url)
    ((found,),) = endpoint.replies([prompt], Settings(max_new_tokens=6))
    assert found.replies[0].text == here.texts[0]


def test_samples_are_asked_for_one_by_one_since_it_gives_one_a_call(folder: Path, url: str) -> None:
    settings = Settings(samples=2, temperature=1.0, max_new_tokens=4)
    ((found,),) = Endpoint(str(folder), url).replies([Example.of_chat(QUESTIONS[0])], settings)
    assert [reply.error for reply in found.replies] == [None, None]
    assert all(reply.used[1] > 0 for reply in found.replies)
