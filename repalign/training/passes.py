"""Passes: the states that a loss's passes through the model leave at sites."""

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from repalign.architectures import Architecture
from repalign.errors import RepalignError
from repalign.models.hooking import attached
from repalign.sites import Site

Gathered = Any
"""What is kept of the states at a site."""


class Passes:
    """What passes the sites of one network while a loss is computed.

    The policy's pass is the one that carries gradient. A reference's pass is one that reads the
    same ids, through a network that is never trained or with the adapters otherwise than usual; so
    neither a second pass of the policy without gradient (TRL makes one for its metrics) nor KTO's
    pass of mismatched pairs is taken for it.
    """

    def __init__(
        self,
        network: nn.Module,
        architecture: Architecture,
        sites: Sequence[Site],
        gather: Callable[[Site, Tensor], Gathered],
        ids: Tensor,
        attended: Tensor,
        *,
        frozen: bool,
    ) -> None:
        """Prepare to read.

        Args:
            network: the model, out of whatever distributes it.
            architecture: of the network.
            sites: where to read.
            gather: what to keep of the states at a site.
            ids: the tokens of the batch.
            attended: which of them are no padding.
            frozen: whether the network is a reference throughout.
        """
        self._network = network
        self._architecture = architecture
        self._sites = tuple(sites)
        self._gather = gather
        self._ids, self._attended = ids, attended
        self._frozen = frozen
        self._usual = adapters(network)
        self._matching = False
        self._arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self._seen: dict[Site, Counter[str]] = defaultdict(Counter)
        self._policy: dict[Site, list[Gathered]] = defaultdict(list)
        self.reference: dict[Site, Gathered] = {}
        """The states of the reference's pass, if there was one."""
        self.call: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        """The arguments of the policy's pass."""

    @contextmanager
    def recorded(self) -> Generator[None, None, None]:
        """Record every pass while the context is open."""
        handle = self._network.register_forward_pre_hook(self._begin, with_kwargs=True)
        keepers = {site: self._keeper(site) for site in self._sites}
        try:
            with attached(self._architecture, keepers, first=False):
                yield
        finally:
            handle.remove()

    def policy(self) -> dict[Site, Gathered]:
        """The states of the policy's pass.

        Raises:
            RepalignError: not exactly one pass through a site carried gradient.
        """
        for site in self._sites:
            count = len(self._policy[site])
            if count != 1:
                seen = ", ".join(f"{count} {kind}" for kind, count in self._seen[site].items())
                raise RepalignError(
                    f"A penalty at {site} needs exactly one pass that carries gradient; this loss "
                    f"made {count} (passes seen: {seen or 'none'}). With none, the penalty would "
                    "change nothing; with several, the policy's cannot be told from the others. "
                    "Train weights that lie ahead of the site, or take another trainer."
                )
        return {site: self._policy[site][0] for site in self._sites}

    def _begin(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._arguments = (args, kwargs)
        same = self._frozen or adapters(self._network) != self._usual
        self._matching = same and self._reads_the_batch(args, kwargs)

    def _reads_the_batch(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is self._ids:
            return True
        if not isinstance(ids, Tensor) or ids.shape != self._ids.shape:
            return False
        return bool(((ids == self._ids) | ~self._attended).all())

    def _keeper(self, site: Site) -> Callable[[Tensor], None]:
        def keep(states: Tensor) -> None:
            if torch.is_grad_enabled() and states.requires_grad:
                self._seen[site]["with gradient"] += 1
                self._policy[site].append(self._gather(site, states))
                self.call = self._arguments
                return
            cut = torch.is_grad_enabled()
            self._seen[site]["cut off from every trained weight" if cut else "under no_grad"] += 1
            if self._matching:
                self.reference[site] = self._gather(site, states.detach())

        return keep


def adapters(network: nn.Module) -> tuple[bool, tuple[str, ...]] | None:
    """Whether adapters are off, and which are on; None for a network without any."""
    for module in network.modules():
        off = getattr(module, "disable_adapters", None)
        # A model of transformers has a method of that name.
        if isinstance(off, bool):
            return off, tuple(cast(Any, module).active_adapters)
    return None
