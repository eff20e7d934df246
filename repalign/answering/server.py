"""Server: calls to an OpenAI-compatible server, tried again where that may help."""

import email.utils
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from repalign.errors import InputError, MissingExtraError

_AGAIN = frozenset({408, 409, 429})
# Not this prompt is the matter, but the server has no time or is gone.
_AWAY = frozenset({408, 429, 502, 503, 504})
_FIRST_WAIT, _LONGEST_WAIT, _LONGEST_TOLD = 0.5, 30.0, 300.0  # seconds
_NO_KEY = "none"  # the client wants one also for a server that needs none


class AwayError(Exception):
    """The server did not answer, however often it was asked."""


class RefusedError(Exception):
    """The server answered that it does not answer this."""

    def __init__(self, said: str, status: int | None = None) -> None:
        """Hold what it said."""
        super().__init__(said)
        self.status = status


class NotListedError(Exception):
    """The server does not know the path or the model."""


class Server:
    """A connection for as long as the context lasts; any number of threads may call it."""

    takes_n = True
    """Until it refuses to give several answers at once."""
    length = "max_tokens"
    """What it calls the longest length of an answer."""

    def __init__(
        self, url: str, key: str | None, key_variable: str, tries: int, seconds: float | int
    ) -> None:
        """Begin a connection; nothing is sent.

        Args:
            url: the address, with credentials if it has any.
            key: None where the server needs none.
            key_variable: where the key came from.
            tries: of each call.
            seconds: to wait for an answer.

        Raises:
            MissingExtraError: the package `openai` is not installed.
        """
        self._openai = _openai()
        self._client = self._openai.OpenAI(
            api_key=key or _NO_KEY, base_url=url, max_retries=0, timeout=float(seconds)
        )
        self._secrets = [secret for secret in (key, urlsplit(url).password) if secret]
        self._key_variable, self._has_key = key_variable, bool(key)
        self._tries = tries
        self._ended = threading.Event()
        self.url = shown(url)

    def __enter__(self) -> "Server":
        """Nothing to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection; calls that are waiting to try again give up."""
        self.end()
        self._client.close()

    def end(self) -> None:
        """Let calls that are waiting to try again give up."""
        self._ended.set()

    def reach(self) -> None:
        """See whether anybody is there.

        Raises:
            InputError: nobody is, or the key is refused.
        """
        listed = self._client.models.with_raw_response.list
        try:
            self._called(listed, {}, tries=min(2, self._tries), what="the models")
        except AwayError as error:
            raise InputError(
                f"The server at {self.url} does not answer ({error}). Start it, or give another "
                "--server."
            ) from None
        except (RefusedError, NotListedError):
            return  # it is there; not every server lists its models

    def chat(self, body: Mapping[str, Any]) -> Any:
        """The answer to a conversation, as plain data.

        Raises:
            AwayError: none came, however often it was asked for.
            RefusedError: the server will not answer this, or what it sent is not JSON.
            InputError: the key, the address or the name of the model is wrong.
        """
        return self._asked(self._client.chat.completions.with_raw_response.create, body)

    def text(self, body: Mapping[str, Any]) -> Any:
        """How a text goes on, as plain data; raises what `chat` does."""
        return self._asked(self._client.completions.with_raw_response.create, body)

    def _asked(self, create: Callable[..., Any], body: Mapping[str, Any]) -> Any:
        try:
            return self._called(create, body, self._tries, f"the model {body['model']!r}")
        except NotListedError as error:
            plain = "prompt" in body
            raise InputError(
                f"The server at {self.url} does not find the model {body['model']!r}"
                f"{' or cannot go on with plain texts (it may know only chats)' if plain else ''}: "
                f"{error} Give the name that it uses"
                f"{', or conversations as prompts' if plain else ''}; the address of most servers "
                "ends in /v1."
            ) from None

    def _called(
        self, create: Callable[..., Any], body: Mapping[str, Any], tries: int, what: str
    ) -> Any:
        for number in range(tries):
            failure, told = self._tried(create, body, what)
            if failure is None:
                return told
            wait = min(_FIRST_WAIT * 2**number, _LONGEST_WAIT) * random.uniform(0.75, 1.25)
            wait = wait if told is None else float(told)
            # A server that wants a pause of many minutes is as good as gone.
            last = number + 1 == tries or wait > _LONGEST_TOLD
            if last or self._ended.wait(wait):
                raise failure
        raise AssertionError("A call is tried once at least.")

    def _tried(
        self, create: Callable[..., Any], body: Mapping[str, Any], what: str
    ) -> tuple[Exception | None, Any]:
        """None and the answer; or why there is none, and seconds to wait if the server says so."""
        failed, response = None, None
        try:
            response = create(**body).http_response
        except self._openai.APIConnectionError as error:
            return AwayError(self.clean(error.__cause__ or error)), None
        except self._openai.APIStatusError as error:
            failed = error
        # Raised out here, since an error keeps the one that was handled, and that one the key.
        if response is None:
            assert failed is not None
            return self._failure(failed, what), _told(failed.response.headers)
        try:
            return None, response.json()
        except ValueError:
            begin = self.clean(repr(response.content[:80]))
        raise RefusedError(f"The server sent what is not JSON: {begin}.")

    def _failure(self, error: Any, what: str) -> Exception:
        """What to raise when trying again did not help; raises at once what never will.

        Raises:
            InputError: the key is refused, or there is no money left.
            NotListedError: what was asked for is not there.
            RefusedError: the server does not answer this.
        """
        status = error.status_code
        words = _words(error.body) or error.response.text or error.response.reason_phrase
        said = f"{status}, {self.clean(words)}"
        if status in (401, 403):
            raise InputError(
                f"The server at {self.url} refuses the "
                + (f"key in {self._key_variable}" if self._has_key else "request without a key")
                + f" ({said}). Set the environment variable {self._key_variable} to a key that may "
                f"use {what}."
            )
        if status == 404:
            raise NotListedError(said)
        if error.code == "insufficient_quota":
            raise InputError(f"The server at {self.url} gives no more answers to this key: {said}")
        if status in _AWAY:
            return AwayError(said)
        refused = RefusedError(f"The server answered with an error: {said}", status)
        if status in _AGAIN or status >= 500:
            return refused
        raise refused

    def clean(self, error: object) -> str:
        """What an error says, in short and without anything secret."""
        said = str(error)
        for secret in self._secrets:
            said = said.replace(secret, "…")
        said = " ".join(said.split()) or f"no words, {type(error).__name__}"
        return said if len(said) <= 300 else f"{said[:300]}…"


def shown(url: str) -> str:
    """An address without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl().rstrip("/")


def _told(headers: Mapping[str, str]) -> float | None:
    """The seconds that the server asks to wait."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = email.utils.parsedate_tz(value)
        seconds = None if date is None else email.utils.mktime_tz(date) - time.time()
    return None if seconds is None or not seconds >= 0 else seconds


def _words(body: Any) -> str | None:
    """The message in the body of an error, where the server put one as most do."""
    if not isinstance(body, dict):
        return None
    return next((body[name] for name in ("message", "detail") if body.get(name)), None)


def _openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise MissingExtraError(
            "Asking a server needs the package openai; install it with `pip install "
            "'repalign[eval]'`."
        ) from error
    return openai
