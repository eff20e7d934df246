"""LanguageModel: a network, its tokenizer, and named places to read and write."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from repalign import architectures
from repalign.errors import InputError
from repalign.models.embedded import quiet_transformers
from repalign.models.hooking import SiteFunction, StopForward, attached
from repalign.models.identity import weights_fingerprint
from repalign.sites import Site
from repalign.tokens import Tokens


class LanguageModel:
    """A causal language model whose sites can be read and written.

    It wraps the network without changing it: no module is replaced, and every hook is gone when the
    context that placed it ends.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        name: str,
        revision: str | None = None,
        allow_failed: Sequence[str] = (),
    ) -> None:
        """Wrap a loaded network; most users call `LanguageModel.load`.

        Args:
            network: a causal language model of transformers, or a PEFT model around one.
            tokenizer: its tokenizer.
            name: what records call it.
            revision: commit or content hash of its weights, where one is known.
            allow_failed: names of self-checks whose failure does not stop reading.
        """
        self.architecture = architectures.find(network)
        self.network = network.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.revision = revision
        self.allow_failed = tuple(allow_failed)
        self.checked: Any = None
        """The outcome of the self-checks, once `repalign.checks` has run them."""

    @classmethod
    def load(cls, source: Any = "smollm2", **options: Any) -> "LanguageModel":
        """Load a model by name; see `repalign.models.loading.load` for sources and options."""
        from repalign.models.loading import load

        return load(source, **options)

    def __repr__(self) -> str:
        """Show name, size and place."""
        return (
            f"LanguageModel({self.name!r}, layers={self.n_layers}, d_model={self.d_model}, "
            f"device={self.device}, dtype={self.dtype})"
        )

    def save(self, folder: Path) -> None:
        """Write the weights and the tokenizer into a folder, from which `load` reads them."""
        with quiet_transformers():
            self.network.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)

    @property
    def n_layers(self) -> int:
        """The number of blocks."""
        return len(self.architecture.layers)

    @property
    def d_model(self) -> int:
        """The width of the residual stream."""
        return self.architecture.d_model

    @property
    def device(self) -> torch.device:
        """Where token ids have to be: the device of the first parameter, the embedding."""
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the first parameter."""
        return next(self.network.parameters()).dtype

    @property
    def pad_id(self) -> int:
        """The token that fills up rows; never attended to, so any will do where none is named."""
        for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        return 0

    @property
    def fingerprint(self) -> str:
        """A short hash of the weights as they are now: training changes it."""
        return weights_fingerprint(self.network)

    def sites(self, stream: str = "resid_post") -> list[Site]:
        """Every layer's site of one stream, from the first layer to the last."""
        sites = [Site(layer, stream) for layer in range(self.n_layers)]
        self.architecture.check(sites[0])
        return sites

    def forward(self, tokens: Tokens, **options: Any) -> Any:
        """Run the network on right- or left-padded tokens and return its output.

        Position ids are always given where the network takes them: without them absolute-position
        models read left-padded rows wrongly.
        """
        tokens = tokens.to(self.device)
        names = self.architecture.forward_names
        inputs: dict[str, Any] = {"input_ids": tokens.ids, "attention_mask": tokens.attended.long()}
        if "position_ids" in names:
            inputs["position_ids"] = tokens.position_ids
        if "use_cache" in names:
            inputs["use_cache"] = False
        return self.network(**{**inputs, **options})

    def logits(self, tokens: Tokens) -> Float[Tensor, "batch pos vocab"]:
        """Next-token logits at every position."""
        with torch.no_grad():
            return self.forward(tokens).logits

    def hooked(self, functions: Mapping[Site, SiteFunction]) -> AbstractContextManager[None]:
        """Run a function on the tensor that passes each site while the context is open.

        Args:
            functions: for each site a function of `[batch pos d_model]` that returns a tensor of
                the same shape to put in its place, or None to leave it.
        """
        return attached(self.architecture, functions, first=True)

    def capture(
        self,
        tokens: Tokens,
        sites: Sequence[Site],
        keep: Callable[[Tensor], Tensor] = lambda tensor: tensor,
        **options: Any,
    ) -> dict[Site, Tensor]:
        """Read sites in one pass that ends after the deepest of them.

        The pass computes no logits. Only what `keep` returns leaves the hook.

        Args:
            tokens: a batch.
            sites: where to read.
            keep: applied to each `[batch pos d_model]` tensor inside the hook.
            options: passed to the network, such as `past_key_values`.

        Returns:
            For each site what `keep` returned.
        """
        if not sites:
            raise InputError("No sites were given to read; model.sites() lists them.")
        kept: dict[Site, Tensor] = {}

        def reader(site: Site) -> SiteFunction:
            def function(tensor: Tensor) -> None:
                # A copy: some families go on adding to the same tensor in place (Falcon).
                kept[site] = keep(tensor).clone()
                if len(kept) == len(wanted):
                    raise StopForward

            return function

        wanted = dict.fromkeys(sites)
        readers = {site: reader(site) for site in wanted}
        with (
            torch.no_grad(),
            suppress(StopForward),
            attached(self.architecture, readers, first=False),
        ):
            self.forward(tokens, **options)
        missing = [str(site) for site in wanted if site not in kept]
        if missing:
            raise InputError(f"The pass never reached {', '.join(missing)} of {self.name}.")
        return kept

    def generate(self, tokens: Tokens, **options: Any) -> list[str]:
        """Generate after each row of left-padded tokens; greedy unless asked otherwise.

        Args:
            tokens: prompts padded on the left.
            options: passed to the network's `generate`, such as `max_new_tokens`.

        Returns:
            The new text of each row, special tokens removed.
        """
        tokens = tokens.to(self.device)
        if not bool(tokens.attended[:, -1].all()):
            raise InputError("Generation needs rows padded on the left; pad with side='left'.")
        options = {"do_sample": False, "max_new_tokens": 64, **options}
        with torch.no_grad():
            out = self.network.generate(
                input_ids=tokens.ids, attention_mask=tokens.attended.long(), **options
            )
        new = out[:, tokens.ids.shape[1] :]
        return self.tokenizer.batch_decode(new, skip_special_tokens=True)
