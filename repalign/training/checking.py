"""Checks of penalties against the model that is trained, before the first step."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from repalign.architectures import Architecture
from repalign.errors import InputError
from repalign.models.identity import weights_fingerprint
from repalign.training.methods import Method
from repalign.training.penalties import Penalty, Together
from repalign.training.terms import Term

# Inside a block, activation checkpointing either recomputes without the hook or hands out states
# that carry no gradient.
_STREAMS = ("resid_pre", "resid_post")


def check_penalties(
    penalties: Sequence[object], method: Method, trainer_name: str, label_column: str | None
) -> None:
    """Refuse what no model could make work.

    Raises:
        InputError: something that is no penalty, a site inside a block, a span that the trainer
            does not tell apart, a label without a column.
    """
    for one in penalties:
        if not isinstance(one, Penalty | Together):
            raise InputError(
                f"{one!r} is no penalty. Give a sequence of penalties, such as "
                "[Projection(direction, weight=0.5)]."
            )
        for penalty in one.parts if isinstance(one, Together) else (one,):
            _check_penalty(penalty, method, trainer_name, label_column)


def _check_penalty(
    penalty: Penalty, method: Method, trainer_name: str, label_column: str | None
) -> None:
    inside = [site for site in penalty.sites if site.stream not in _STREAMS]
    if inside:
        raise InputError(
            f"{penalty.name} reads {inside[0]}, which lies inside a block, where activation "
            f"checkpointing can take the gradient away. Take a direction at "
            f"{' or '.join(_STREAMS)}."
        )
    if penalty.span is not None and penalty.span not in method.spans:
        raise InputError(
            f"{penalty.name} acts on the span {penalty.span!r}, which {trainer_name} does not tell "
            f"apart. Its spans are {', '.join(method.spans)}."
        )
    if penalty.label is not None and label_column is None:
        raise InputError(
            f"{penalty.name} acts on rows of label {penalty.label}; say in which column of the "
            'data set the labels are: penalised(…, label_column="label").'
        )


def check_model(term: Term, architecture: Architecture, network: Any) -> None:
    """Refuse a penalty that this model lacks the site for, or that would change nothing in it.

    Raises:
        InputError: no such site, another width, or no trained weight ahead of a site.
    """
    for site in term.penalty.sites:
        architecture.check(site)
        width = term.penalty.widths.get(site, architecture.d_model)
        if width != architecture.d_model:
            raise InputError(
                f"{term.name} reads states of width {width}; this model has "
                f"{architecture.d_model}. Take a direction of this model."
            )
        # Checkpointing has the embeddings' output require gradient where no weight ahead does, and
        # then the penalty would change nothing and say nothing.
        blocks = architecture.layers[: site.layer + (site.stream == "resid_post")]
        ahead = [network.get_input_embeddings(), *blocks]
        if not any(weight.requires_grad for module in ahead for weight in module.parameters()):
            raise InputError(
                f"{term.name} reads {site}, and no weight ahead of it is trained, so it would "
                "change nothing. Train weights of earlier layers, or take a direction at a later "
                "site."
            )


def check_packing(term: Term, args: Any) -> None:
    """Refuse packing that forgets where texts begin, for a penalty that has a value a text.

    Raises:
        InputError: such a penalty, with `packing_strategy="wrapped"`.
    """
    wrapped = getattr(args, "packing", False) and args.packing_strategy == "wrapped"
    if wrapped and term.penalty.per_text:
        raise InputError(
            f"{term.name} scores texts, and wrapped packing cuts and joins them without a trace. "
            'Set packing_strategy="bfd" or packing=False.'
        )


def check_weights(terms: Sequence[Term], network: Any) -> None:
    """Refuse directions and probes that were fitted on other weights than those before training.

    A model without a head of words (a reward model), quantised or split weights have other numbers
    than the model that was read, and are not compared.

    Raises:
        InputError: a direction or probe says which weights it was fitted on, and they are others.
    """
    known = [(term, origin) for term in terms for origin in term.penalty.origins]
    known = [(term, origin) for term, origin in known if "weights" in origin]
    if not known or network.get_output_embeddings() is None:
        return
    base = _Base(network)
    if any(hasattr(w, "ds_id") or not w.is_floating_point() for _, w in base.named_parameters()):
        return
    now = weights_fingerprint(base)
    for term, origin in known:
        if origin["weights"] != now:
            raise InputError(
                f"{term.name} was fitted on {origin.get('model')} with weights "
                f"{origin['weights']} ({origin.get('dtype')}); the model that is trained starts "
                f"from weights {now}. Fit it on this model, load the model in the number format "
                "that it was read in, or, where you mean it, say same_weights=False."
            )


class _Base(nn.Module):
    """The weights under an adapter, by the names that they have without it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._found = dict(_plain(network))

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Name and weight."""
        yield from self._found.items()


def _plain(network: Any) -> Iterator[tuple[str, nn.Parameter]]:
    if not hasattr(network, "peft_config"):
        yield from network.named_parameters()
        return
    for name, weight in network.get_base_model().named_parameters():
        parts = name.split(".")
        added = any(part.startswith(("lora_", "ia3_", "modules_to_save")) for part in parts)
        if not added:
            kept = [part for part in parts if part not in ("base_layer", "original_module")]
            yield ".".join(kept), weight
