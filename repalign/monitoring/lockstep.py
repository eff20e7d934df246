"""Lockstep: a function that calls back, turned into a generator."""

import threading
from collections.abc import Callable, Generator
from contextvars import copy_context
from queue import SimpleQueue
from typing import TypeVar

import torch

Item = TypeVar("Item")


class _Closed(BaseException):
    """Raised in the function when the generator was closed; no `except Exception` swallows it."""


def lockstep(
    produce: Callable[[Callable[[Item], None]], object], device: torch.device
) -> Generator[Item, None, None]:
    """Yield what a function gives to its callback, while the function waits.

    The function runs in a thread of its own and stands still whenever the caller has the word, so
    the two never run at once. Its exceptions are raised here. When the generator is closed, the
    function ends at the callback that it stands in, and its contexts are left.

    Args:
        produce: called with the callback.
        device: the caller's autocast for it holds in the thread too.
    """
    items: SimpleQueue[tuple[str, object]] = SimpleQueue()
    go_on = threading.Semaphore(0)
    closed = threading.Event()
    kind = device.type
    autocast = torch.autocast(
        kind, torch.get_autocast_dtype(kind), enabled=torch.is_autocast_enabled(kind)
    )

    def give(item: Item) -> None:
        items.put(("item", item))
        go_on.acquire()
        if closed.is_set():
            raise _Closed

    def work() -> None:
        try:
            with autocast:
                produce(give)
        except _Closed:
            pass
        except BaseException as error:
            items.put(("error", error))
            return
        items.put(("end", None))

    thread = threading.Thread(
        target=copy_context().run, args=(work,), name="repalign-generation", daemon=True
    )
    thread.start()
    try:
        while True:
            what, item = items.get()
            if what == "error":
                assert isinstance(item, BaseException)
                raise item
            if what == "end":
                return
            yield item  # pyright: ignore[reportReturnType]
            go_on.release()
    finally:
        closed.set()
        go_on.release()
        thread.join()
