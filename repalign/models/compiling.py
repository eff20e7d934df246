"""Compiled code does not see hooks, so none runs while there are any."""

import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import torch

_lock = threading.Lock()
_open = 0
_stance = ExitStack()


@contextmanager
def uncompiled() -> Generator[None, None, None]:
    """Let everything that `torch.compile` made run as plain code while the context is open.

    Compiled code keeps to the hooks that it was compiled with: later ones would do nothing, and
    those that it saw would stay. In plain code hooks act, whatever was compiled before, and nothing
    is compiled with them. This holds for all threads. Contexts may close in any order.
    """
    global _open
    with _lock:
        if _open == 0:
            _stance.enter_context(torch.compiler.set_stance("force_eager"))
        _open += 1
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if _open == 0:
                _stance.close()
