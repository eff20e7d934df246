"""Training: gradients through what is written are those of the formula, checkpointing or not."""

from collections.abc import Mapping
from typing import Any

import directed
import pytest
import torch
from torch import Tensor

from repalign.interventions import Ablate, Add, Clamp, Intervention, KeepNorm, intervene
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.tokens import Tokens

TOKENS = Tokens.pad([[7, 30, 12, 55], [8, 41, 9, 22]], 5)
DIRECTION = directed.made(4, scale=2.0)
VECTOR = torch.from_numpy(DIRECTION.vector)


def _by_hand(name: str, states: Tensor) -> Tensor:
    projected = (states @ VECTOR).unsqueeze(-1)
    if name == "add":
        return states + 3.0 * VECTOR
    if name == "ablate":
        return states - projected * VECTOR
    if name == "clamp":
        return states + (projected.clamp(0.1, 0.9) - projected) * VECTOR
    pushed = states + 3.0 * VECTOR
    return pushed * states.norm(dim=-1, keepdim=True) / pushed.norm(dim=-1, keepdim=True)


INTERVENTIONS: dict[str, Intervention] = {
    "add": Add(DIRECTION, 1.5),
    "ablate": Ablate.of(DIRECTION),
    # 0.1 and 0.9 of the states: the midpoint, 0.5, and 0.2 of the scale to either side.
    "clamp": Clamp(DIRECTION, -0.2, 0.2),
    "keep norm": KeepNorm(Add(DIRECTION, 1.5)),
}


def _loss(model: LanguageModel) -> Tensor:
    logits = model.network(input_ids=TOKENS.ids, use_cache=False).logits
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), TOKENS.ids[:, 1:].flatten()
    )


def _checkpoint(model: LanguageModel, reentrant: bool) -> None:
    network: Any = model.network
    # Its name since transformers 5.20 or so.
    enable = getattr(network, "activation_checkpointing_enable", None)
    (enable or network.gradient_checkpointing_enable)({"use_reentrant": reentrant})
    # For the reentrant kind: blocks have to be given something that asks for gradients.
    network.enable_input_require_grads()
    assert network.model.layers[1].gradient_checkpointing


def _gradients(model: LanguageModel, context: Any, late: bool = False) -> dict[str, Tensor]:
    """Gradients of a loss; `late` closes the context before the backward pass."""
    model.network.zero_grad()
    with context:
        loss = _loss(model)
        if not late:
            loss.backward()
    if late:
        loss.backward()
    found = {
        name: p.grad.clone() for name, p in model.network.named_parameters() if p.grad is not None
    }
    assert len(found) > 30
    return found


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        torch.allclose(one[name], other[name], atol=1e-6, rtol=1e-4) for name in one
    )


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("reentrant", [None, True, False])
@pytest.mark.parametrize("stream", ["resid_pre", "resid_post"])
def test_gradients_are_those_of_the_formula(
    toy: LanguageModel, model: LanguageModel, stream: str, reentrant: bool | None, late: bool
) -> None:
    toy.checked = model.checked
    toy.network.train()
    sites = [Site(1, stream), Site(2, stream)]
    wanted = {}
    for name in INTERVENTIONS:
        by_hand = {site: lambda x, name=name: _by_hand(name, x) for site in sites}
        wanted[name] = _gradients(toy, toy.hooked(by_hand))
    if reentrant is not None:
        _checkpoint(toy, reentrant)
    for name, intervention in INTERVENTIONS.items():
        written = dict.fromkeys(sites, intervention)
        assert _same(_gradients(toy, intervene(toy, written), late), wanted[name]), name
    assert not _same(wanted["add"], wanted["ablate"])


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_depends_on_positions_is_recomputed_as_it_was(
    toy: LanguageModel, model: LanguageModel, reentrant: bool
) -> None:
    toy.checked = model.checked
    toy.network.train()
    written = {Site(1): INTERVENTIONS["add"]}
    wanted = _gradients(toy, intervene(toy, written, "last"))
    _checkpoint(toy, reentrant)
    assert _same(_gradients(toy, intervene(toy, written, "last")), wanted)
    # Another pass between forward and backward, of another shape.
    toy.network.zero_grad()
    with intervene(toy, written, "last"):
        loss = _loss(toy)
        toy.forward(Tokens.pad([[7, 30]], 5))
        loss.backward()
    named = toy.network.named_parameters()
    found = {name: p.grad for name, p in named if p.grad is not None}
    assert _same(found, wanted)
