"""Refusing: a user's mistake as Inspect prints it, one message and no traceback."""

from collections.abc import Generator
from contextlib import contextmanager

from inspect_ai._util.error import PrerequisiteError
from rich.markup import escape

from repalign.errors import InputError, RepalignError


class RefusedError(InputError, PrerequisiteError):
    """An error of repalign that Inspect knows for one to be shown without a traceback."""

    def __init__(self, message: str) -> None:
        """Keep the message, and as `message` so that Inspect reads no markup in brackets."""
        super().__init__(message)
        self.message = escape(message)


@contextmanager
def plainly() -> Generator[None, None, None]:
    """Turn errors of repalign into such that Inspect prints plainly."""
    try:
        yield
    except RepalignError as error:
        raise RefusedError(str(error)) from error
