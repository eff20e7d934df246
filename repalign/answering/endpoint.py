"""Endpoint: a model behind a server that speaks the OpenAI protocol, wherever it runs."""

import hashlib
import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from repalign.answering.choices import begin, read, usage
from repalign.answering.cost import Cost, Price, guess
from repalign.answering.reply import Reply, Settings
from repalign.answering.respondent import Replied
from repalign.answering.server import RefusedError, Server, shown
from repalign.answering.watching import Watch
from repalign.errors import InputError
from repalign.examples import Example

_OPENAI = "https://api.openai.com/v1"


class Endpoint:
    """Respondent of a server: OpenAI's own, vLLM, llama.cpp, `transformers serve`, and so on.

    What is not sent is up to the server, such as `top_p`: some fill it in from the model's own
    generation settings, and `transformers serve` draws at a temperature only where these say
    `do_sample`. Few servers draw the same sample twice, though a seed is sent.

    Example:
        >>> def ask(prompts):
        ...     server = Endpoint("HuggingFaceTB/SmolLM2-1.7B-Instruct", "http://localhost:8000/v1")
        ...     for batch in server.replies(prompts, Settings(max_new_tokens=32)):
        ...         for one in batch:
        ...             print(one.prompt, one.replies[0].text or one.replies[0].error)
        ...     print(server.spent)
    """

    def __init__(
        self,
        model: str,
        url: str | None = None,
        key_variable: str = "OPENAI_API_KEY",
        at_once: int = 8,
        tries: int = 5,
        seconds: float | int = 60,
        price: Price | None = None,
    ) -> None:
        """Name a model and a server; nothing is sent.

        Args:
            model: its name, as the server knows it.
            url: the address, which mostly ends in /v1. None is what OPENAI_BASE_URL holds, or
                OpenAI's own.
            key_variable: environment variable with the key. It is read when something is asked and
                kept nowhere; a server that needs none works without.
            at_once: calls at the same time.
            tries: of each call, where the server has no time or does not answer.
            seconds: to wait for an answer.
            price: dollars for a million tokens of prompts, and of answers.

        Raises:
            InputError: no address of a server, or a number below its least.
        """
        if at_once < 1 or tries < 1 or not seconds > 0:
            raise InputError(
                "A server is asked with 1 call at once or more, each tried once or more, and "
                f"waited for; at_once={at_once}, tries={tries} and seconds={seconds} were given."
            )
        self._url = url or os.environ.get("OPENAI_BASE_URL") or _OPENAI
        _check_address(self._url)
        self.model, self.url = model, shown(self._url)
        self.key_variable, self.at_once, self.tries = key_variable, at_once, tries
        self.seconds, self.price = seconds, price
        self._reached = False
        self._counting = threading.Lock()
        self._counted = [0, 0, 0]

    @property
    def name(self) -> str:
        """The model's."""
        return self.model

    def __repr__(self) -> str:
        """Without anything secret."""
        return f"Endpoint({self.model!r}, {self.url!r})"

    def origin(self) -> dict[str, Any]:
        """Model and server, without credentials."""
        return {"model": self.model, "server": self.url}

    def estimate(self, prompts: Sequence[Example], settings: Settings) -> Cost:
        """The most that answers may cost, guessed before anything is asked."""
        return guess(prompts, settings, self.price)

    @property
    def spent(self) -> Cost:
        """What the answers until now cost, as the server counted."""
        with self._counting:
            prompts, answers, uncounted = self._counted
        return Cost(prompts, answers, self.price, uncounted=uncounted)

    def replies(
        self, prompts: Sequence[Example], settings: Settings, skip: Collection[int] = ()
    ) -> Iterator[list[Replied]]:
        """Answer prompts; see `Respondent.replies`.

        Several samples are asked for in one call where the server gives them, and the tokens of
        that call stand with the first of its replies.

        Raises:
            InputError: a prompt that ends in no user's turn; nobody answers; the key or the model
                is unknown to the server; three prompts in a row failed in every try, or the first
                three in the same words. What was yielded before stays answered.
            MissingExtraError: the package `openai` is not installed.
        """
        todo = [place for place in range(len(prompts)) if place not in skip]
        for place in todo:
            _check_prompt(place, prompts[place])
        if not todo:
            return
        key = os.environ.get(self.key_variable)
        with Server(self._url, key, self.key_variable, self.tries, self.seconds) as server:
            if not self._reached:
                server.reach()
                self._reached = True
            watch = Watch(server.url, len(prompts) - len(todo), len(prompts))
            yield from self._answered(server, prompts, settings, todo, watch)

    def _answered(
        self,
        server: Server,
        prompts: Sequence[Example],
        settings: Settings,
        todo: Sequence[int],
        watch: Watch,
    ) -> Iterator[list[Replied]]:
        left = iter(todo)
        running: dict[Future[list[Reply]], int] = {}
        with ThreadPoolExecutor(self.at_once) as pool:
            try:
                while True:
                    for place in left:
                        one = pool.submit(self._one, server, prompts[place], place, settings)
                        running[one] = place
                        if len(running) >= self.at_once:
                            break
                    if not running:
                        return
                    done = wait(running, return_when=FIRST_COMPLETED).done
                    # In the order of the prompts, so that what stops it is the same every time.
                    came = sorted((running.pop(one), one) for one in done)
                    if batch := [
                        Replied(place, replies)
                        for place, one in came
                        if (replies := watch.result(one)) is not None
                    ]:
                        yield batch
                    watch.stop()
            finally:
                server.end()

    def _one(self, server: Server, prompt: Example, place: int, settings: Settings) -> list[Reply]:
        """All samples of one prompt."""
        replies: list[Reply] = []
        while (wanted := settings.samples - len(replies)) > 0:
            many = wanted if server.takes_n else 1
            call = server.chat if prompt.is_chat else server.text
            body = self._body(server, prompt, place, settings, len(replies), many)
            try:
                found = call(body)
            except RefusedError as error:
                if _adapted(server, body, error):
                    continue
                return [*replies, *[Reply(None, error=str(error))] * wanted]
            used = usage(found)
            self._count(used)
            came = read(found, used)
            if not came:
                error = f"The server sent no answer but {server.clean(begin(found))}."
                return [*replies, *[Reply(None, error=error, used=used or (0, 0))] * wanted]
            replies += [
                one if one.error is None else replace(one, error=server.clean(one.error))
                for one in came[:wanted]
            ]
        return replies

    def _body(
        self,
        server: Server,
        prompt: Example,
        place: int,
        settings: Settings,
        sample: int,
        many: int,
    ) -> dict[str, Any]:
        """What is sent for some samples of a prompt, the first of them number `sample`."""
        if prompt.is_chat:
            asked: dict[str, Any] = {
                "messages": [{"role": t.role, "content": t.content} for t in prompt.messages]
            }
            length = server.length
        else:
            asked, length = {"prompt": prompt.text}, "max_tokens"
        # Not a sum: neighbouring places and seeds would share their samples.
        drawn = hashlib.sha256(f"{settings.seed} {place} {sample}".encode()).digest()
        return {
            "model": self.model,
            **asked,
            length: settings.max_new_tokens,
            "temperature": settings.temperature,
            "seed": int.from_bytes(drawn[:4], "big") >> 1,
            **({"n": many} if many > 1 else {}),
        }

    def _count(self, used: tuple[int, int] | None) -> None:
        with self._counting:
            if used is None:
                self._counted[2] += 1
            else:
                self._counted[0] += used[0]
                self._counted[1] += used[1]


def _adapted(server: Server, body: Mapping[str, Any], error: RefusedError) -> bool:
    """Whether the same can be asked for in other words, which are then used from now on."""
    if error.status not in (400, 422):
        return False
    if "max_tokens" in body and "messages" in body and "max_completion_tokens" in str(error):
        server.length = "max_completion_tokens"
        return True
    if "n" in body:
        server.takes_n = False
        return True
    return False


def _check_prompt(place: int, prompt: Example) -> None:
    role = prompt.messages[-1].role
    if role not in ("user", "text"):
        raise InputError(
            f"Prompt {place} ({prompt.text[:40]!r}) ends in a turn of role {role!r}; there is no "
            "user's turn to answer. Leave that turn out."
        )


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise InputError(
            f"{url!r} is no address of a server. Give one such as http://localhost:8000/v1."
        )
