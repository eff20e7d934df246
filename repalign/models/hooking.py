"""The one primitive: run a function on the tensor that passes a site."""

from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from repalign.architectures import Architecture, main_tensor, replaced
from repalign.models.compiling import uncompiled
from repalign.sites import Site

SiteFunction = Callable[[Tensor], Tensor | None]
"""Takes `[batch pos d_model]`; returns a tensor of that shape to put in its place, or None."""

# In the order in which a block makes them.
FLOW = ("resid_pre", "heads", "attn_out", "resid_mid", "mlp_out", "resid_post")
# Ids of the hooks that write, while they are on a model.
_writers: set[int] = set()
_announced: "list[Writing]" = []


@dataclass(frozen=True, eq=False)
class Writing:
    """What an open context writes to a model, for those who read it meanwhile."""

    architecture: Architecture
    record: Sequence[Mapping[str, Any]]
    """What is written at each site, as records keep it."""
    by_position: bool
    """Whether what is written depends on the places of tokens in their text."""
    by_row: bool
    """Whether it depends on which rows a batch has."""


def writing() -> bool:
    """Whether a context that writes is open, on whichever model."""
    return bool(_writers)


def writings(architecture: Architecture) -> "list[Writing]":
    """What the contexts that are open write to this model, in the order of their opening."""
    return [w for w in _announced if w.architecture.layers is architecture.layers]


@contextmanager
def announced(writing: Writing) -> Generator[None, None, None]:
    """Let readers know what is written while the context is open."""
    _announced.append(writing)
    try:
        yield
    finally:
        _announced.remove(writing)


class StopForward(BaseException):
    """Raised in a hook to end a forward pass after the deepest site.

    A `BaseException`, so that no `except Exception` of a library on the way swallows it.
    """


@contextmanager
def attached(
    architecture: Architecture, functions: Mapping[Site, SiteFunction], *, first: bool
) -> Generator[None, None, None]:
    """Attach one function to each site for as long as the context is open.

    Every handle is registered before the body runs and removed when it ends, also after an
    exception; hooks that others have put on the model are left alone. Code that was compiled runs
    as plain code meanwhile, for it would not see the hooks.

    Args:
        architecture: the blocks.
        functions: one function a site.
        first: run before hooks that others have put on the model already, as what writes must:
            `output_hidden_states` installs lasting hooks, which would otherwise record the state
            before it was changed. What reads runs last, and sees what was written. Of two contexts
            that write at one place, the one opened first writes first.
    """
    for site in functions:
        architecture.check(site)
    with uncompiled(), ExitStack() as stack:
        for site in sorted(functions, key=lambda site: (site.layer, FLOW.index(site.stream))):
            _attach(stack, architecture, site, functions[site], first)
        yield


def _attach(
    stack: ExitStack,
    architecture: Architecture,
    site: Site,
    function: SiteFunction,
    first: bool,
) -> None:
    width = architecture.width(site)

    def run(tensor: Tensor) -> Tensor | None:
        if tensor.ndim != 3 or tensor.shape[-1] != width:
            raise ValueError(
                f"{site} passes a tensor of shape {tuple(tensor.shape)}; expected "
                f"[batch pos {width}]."
            )
        new = function(tensor)
        if new is not None and new.shape != tensor.shape:
            raise ValueError(
                f"What is written at {site} has shape {tuple(new.shape)}; it has to have that of "
                f"the states, {tuple(tensor.shape)}."
            )
        return new

    block = architecture.layers[site.layer]
    if site.stream == "resid_pre":
        _on_input(stack, block, run, first)
    elif site.stream == "resid_post":
        _on_output(stack, block, run, first)
    elif site.stream == "heads":
        _into_projection(stack, block, architecture.projection(site.layer), run, first)
    elif site.stream == "attn_out":
        attention = architecture.attention(site.layer)
        _inside(stack, block, attention, lambda _before, out: run(out), first)
    elif site.stream == "mlp_out":
        _inside(stack, block, architecture.mlp(site.layer), lambda _before, out: run(out), first)
    else:
        # resid_mid is no module's output. It is formed here, and a change of it is written as a
        # change of the attention's output, which the rest of the block sees.
        def middle(before: Tensor, out: Tensor) -> Tensor | None:
            between = before + out
            new = run(between)
            # Not `new - before`, which rounds: writing back what was read must change no bit.
            return None if new is None else out + (new - between)

        _inside(stack, block, architecture.attention(site.layer), middle, first)


def _on_output(stack: ExitStack, module: nn.Module, run: SiteFunction, first: bool) -> None:
    def hook(_module: nn.Module, _inputs: object, output: object) -> object:
        new = run(main_tensor(output))
        return None if new is None else replaced(output, new)

    handle = module.register_forward_hook(hook, prepend=first)
    stack.callback(handle.remove)
    if first:
        _after_earlier_writers(stack, module._forward_hooks, handle.id)


def _on_input(stack: ExitStack, module: nn.Module, run: SiteFunction, first: bool) -> None:
    def hook(
        _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        new = run(args[0] if args else kwargs["hidden_states"])
        if new is None:
            return None
        if args:
            return (new, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": new}

    handle = module.register_forward_pre_hook(hook, with_kwargs=True, prepend=first)
    stack.callback(handle.remove)
    if first:
        _after_earlier_writers(stack, module._forward_pre_hooks, handle.id)


def _after_earlier_writers(stack: ExitStack, hooks: dict[int, Any], number: int) -> None:
    """Put the hooks of contexts opened before in front of one that was prepended."""
    for earlier in [key for key in reversed(hooks) if key in _writers]:
        cast(OrderedDict[int, Any], hooks).move_to_end(earlier, last=False)
    _writers.add(number)
    stack.callback(_writers.discard, number)


def _into_projection(
    stack: ExitStack, block: nn.Module, projection: nn.Module, run: SiteFunction, first: bool
) -> None:
    """Attach to what a module inside a block reads, in the block's own shape `[batch pos …]`."""
    passing: list[tuple[int, int]] = []

    def keep(tensor: Tensor) -> None:
        passing[:] = [(tensor.shape[0], tensor.shape[1])]

    def at_input(tensor: Tensor) -> Tensor | None:
        new = run(tensor.reshape(*passing[0], -1))
        return None if new is None else new.reshape(tensor.shape)

    _on_input(stack, block, keep, first=False)
    _on_input(stack, projection, at_input, first)


def _inside(
    stack: ExitStack,
    block: nn.Module,
    module: nn.Module,
    run: Callable[[Tensor, Tensor], Tensor | None],
    first: bool,
) -> None:
    """Attach to a module inside a block; `run` gets the block's input and the module's output.

    Some families flatten batch and position inside the block (OPT), so shapes are taken from the
    block's input.
    """
    passing: list[Tensor] = []

    def keep(tensor: Tensor) -> None:
        passing[:] = [tensor]

    def at_output(output: Tensor) -> Tensor | None:
        new = run(passing[0], output.reshape(passing[0].shape))
        return None if new is None else new.reshape(output.shape)

    # The block's input is kept after whatever changes it on the way in.
    _on_input(stack, block, keep, first=False)
    _on_output(stack, module, at_output, first)
