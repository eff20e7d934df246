"""intervene(): write at sites of a model while a context is open."""

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from repalign import checks
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.interventions.describing import described, name_of, parts
from repalign.interventions.erase import Erase
from repalign.interventions.passing import Where
from repalign.interventions.patch import Patch
from repalign.interventions.shift import Shift
from repalign.interventions.watching import Watch, reads_of
from repalign.models import LanguageModel
from repalign.models.hooking import FLOW, Writing, announced
from repalign.readouts import Readout
from repalign.sites import Site


@runtime_checkable
class Intervention(Protocol):
    """A pure function of the states `[batch pos d_model]` that pass a site.

    One that needs more than the states has a method `at(states, passing)`, which is called instead,
    and may name `reads`, sites whose states it finds in `passing.read`.
    """

    def __call__(self, states: Tensor, /) -> Tensor:
        """Return the states to put in their place."""
        ...


@contextmanager
def intervene(
    model: LanguageModel,
    interventions: Mapping[Site, Intervention],
    where: str | Where = "all",
) -> Generator[None, None, None]:
    """Write at sites in every forward pass, generation included, while the context is open.

    It is verified that something was written: every pass must come by every site, and at least one
    pass must be made. Code that was compiled runs as plain code meanwhile, for compiled code does
    not see what is written.

    Args:
        model: the model to write to; its weights are never changed.
        interventions: what to do at each site.
        where: which positions are written: `all`, `prompt`, `generated` (tokens that were decoded),
            `last` (of each row in each pass: the end of the prompt and each generated token), or a
            function of a `Passing`.

    Raises:
        InputError: no interventions, a site that the model lacks, a direction of another model or
            width, or an inner stream while the model trains (activation checkpointing would
            recompute without the writing and give wrong gradients). While the context is open:
            passes in which `where` cannot tell prompt and generated tokens apart.
        CheckError: the model fails a self-check, a pass did not come by a site, no pass was made at
            all, or `where` chose no position in any pass.
    """
    if not interventions:
        raise InputError("No interventions were given: nothing would be written.")
    watch = Watch(model, interventions, where)
    weights = cache(lambda: model.fingerprint)
    for site, intervention in interventions.items():
        model.architecture.check(site)
        if not callable(intervention):
            raise InputError(
                f"{intervention!r} cannot be written at {site}: an intervention is a function of "
                "states, such as Add(direction, 1.0) or Ablate.of(direction)."
            )
        _check_origin(model, site, intervention, weights)
        _check_reads(model, site, intervention)
        if model.network.training and site.stream not in ("resid_pre", "resid_post"):
            raise InputError(
                f"{site} lies inside a block, and {model.name} is in training mode: under "
                "activation checkpointing the backward pass would recompute the block without this "
                "writing. Write at resid_pre or resid_post, or call network.eval()."
            )
    checks.ensure(model, list(interventions))
    record = [{"site": str(s), **described(i)} for s, i in interventions.items()]
    if where != "all":
        named = where if isinstance(where, str) else name_of(where)
        record = [{**one, "where": named} for one in record]
    by_row = any(getattr(i, "by_row", False) for i in interventions.values())
    with ExitStack() as stack:
        writing = Writing(model.architecture, record, watch.by_position, by_row)
        stack.enter_context(announced(writing))
        watch.attach(stack)
        yield
        watch.finish()


def _check_reads(model: LanguageModel, site: Site, intervention: Any) -> None:
    def order(one: Site) -> tuple[int, int]:
        return one.layer, FLOW.index(one.stream)

    for read in reads_of(intervention):
        model.architecture.check(read)
        if order(read) >= order(site):
            raise InputError(
                f"What is written at {site} depends on {read}, which a pass reaches only later. "
                "Write at a deeper site."
            )


def _check_origin(
    model: LanguageModel, site: Site, intervention: Any, weights: Callable[[], str]
) -> None:
    width = model.architecture.width(site)
    for part in parts(intervention):
        what, found, origin, name = type(part).__name__, 0, None, None
        if isinstance(part, Readout):
            part.check_model(model)
            continue
        if isinstance(part, Direction):
            what, found = "direction", len(part.vector)
            origin, name = part.origin.get("weights"), part.origin.get("model")
        elif isinstance(part, Erase):
            found, origin = len(part.mean), part.weights
        elif isinstance(part, Shift):
            found = len(part.vector)
        elif isinstance(part, Patch):
            found = part.values.shape[-1]
        else:
            continue
        if found != width:
            raise InputError(
                f"The {what} for {site} has width {found}; {model.name} has {width} there."
            )
        # Hashing the weights takes longer than all else here.
        if origin is not None and origin != weights():
            raise InputError(
                f"The {what} for {site} was read from {name or 'another model'} (weights "
                f"{origin}), not from {model.name} (weights {weights()}). Read it anew with "
                "collect() and Direction.of()."
            )
