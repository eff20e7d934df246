"""Watch: whether asking a server still makes sense."""

from concurrent.futures import Future

from repalign.answering.reply import Reply
from repalign.answering.server import AwayError
from repalign.errors import InputError

IN_A_ROW = 3
"""Prompts that fail alike before it is taken for the server's fault."""


class Watch:
    """Whether it makes sense to go on."""

    def __init__(self, url: str, before: int, prompts: int) -> None:
        """Begin; `before` of the prompts were answered earlier."""
        self._url, self._answered, self._prompts = url, before, prompts
        self._away = 0
        self._same: list[str] = []
        self._failure: InputError | None = None

    def result(self, one: Future[list[Reply]]) -> list[Reply] | None:
        """The replies of a prompt, failed or not; None where that must end everything."""
        try:
            replies = one.result()
        except InputError as error:
            self._failure = self._failure or error
            return None
        except AwayError as error:
            self._away += 1
            if self._away >= IN_A_ROW:
                self._failure = self._failure or InputError(
                    f"The server at {self._url} no longer answers ({error}). "
                    f"{self._answered} of {self._prompts} prompts are answered; start it, or give "
                    "it more time, and run the same again: where answers are kept, it goes on from "
                    "there."
                )
            return [Reply(None, error=f"The server did not answer: {error}")]
        self._away = 0
        failed = next((reply.error for reply in replies if reply.error is not None), None)
        if failed is None:
            self._answered += 1
        else:
            self._same.append(failed)
        if not self._answered and self._same == [failed] * IN_A_ROW:
            self._failure = self._failure or InputError(
                f"The first {IN_A_ROW} prompts that were sent to {self._url} all failed alike. "
                f"{failed}"
            )
        return replies

    def stop(self) -> None:
        """Raise what ends everything, if anything does."""
        if self._failure is not None:
            raise self._failure
