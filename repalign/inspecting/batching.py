"""Batching: requests that come one by one, answered several at once."""

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")
_GATHER = 0.02
"""Seconds that a request waits for others before it is answered."""
# One model of this process runs at a time: two that share a network would read each other's hooks.
_RUNNING = threading.Lock()


@dataclass(eq=False)
class _Waiting(Generic[Request, Answer]):
    request: Request
    kind: Hashable
    answers: list[Answer] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)


class Batches(Generic[Request, Answer]):
    """Answers requests of many threads in batches.

    Whoever gets the word answers for all that wait with a request of the same kind. No thread of
    its own and no event loop is needed.
    """

    def __init__(self, answer: Callable[[Sequence[Request]], list[Answer]], size: int) -> None:
        """Prepare to answer.

        Args:
            answer: answers requests of one kind, in order.
            size: requests at once.
        """
        self._answer, self._size = answer, size
        self._waiting: list[_Waiting[Request, Answer]] = []

    def ask(self, request: Request, kind: Hashable) -> Answer:
        """Wait for the answer; what goes wrong is raised for the request with which it does.

        Args:
            request: what is asked.
            kind: requests of different kinds are never in one batch; those of kind None are
                answered alone.
        """
        own = _Waiting[Request, Answer](request, kind)
        self._waiting.append(own)
        time.sleep(_GATHER)
        with _RUNNING:
            if not own.answers and not own.errors:
                self._run(own)
        if own.errors:
            raise own.errors[0]
        return own.answers[0]

    def _run(self, own: _Waiting[Request, Answer]) -> None:
        others = [
            one
            for one in list(self._waiting)
            if one is not own and own.kind is not None and one.kind == own.kind
        ]
        batch = [own, *others][: self._size]
        for one in batch:
            self._waiting.remove(one)
        try:
            self._fill(batch)
        except Exception as error:
            if len(batch) == 1:
                own.errors.append(error)
                return
            # One that cannot be answered does not take the others with it.
            for one in batch:
                try:
                    self._fill([one])
                except Exception as alone:
                    one.errors.append(alone)

    def _fill(self, batch: Sequence[_Waiting[Request, Answer]]) -> None:
        found = self._answer([one.request for one in batch])
        for one, answer in zip(batch, found, strict=True):
            one.answers.append(answer)
