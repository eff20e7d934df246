"""What intervene() refuses before anything is run."""

from typing import Any

import directed
import pytest
import torch
from jaxtyping import TypeCheckError

from repalign.errors import CheckError, InputError
from repalign.interventions import Ablate, Add, Shift, intervene
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.tokens import Tokens

SITE = Site(1)
PUSH = Add(directed.made(4), 2.0)


@pytest.mark.parametrize("stream", ["attn_out", "mlp_out", "resid_mid", "heads"])
def test_inner_streams_are_refused_in_training_mode(toy: LanguageModel, stream: str) -> None:
    toy.network.train()
    with (
        pytest.raises(InputError, match=r"training mode.*resid_pre or resid_post"),
        intervene(toy, {Site(1, stream): PUSH}),
    ):
        pass
    assert toy.network.training


def test_what_is_no_intervention_is_refused(model: LanguageModel) -> None:
    with pytest.raises(InputError, match="No interventions"), intervene(model, {}):
        pass
    wrong: Any = {SITE: PUSH.direction}
    with (
        pytest.raises((InputError, TypeCheckError), match=r"Direction\("),
        intervene(model, wrong),
    ):
        pass
    with pytest.raises(InputError, match="no site L9"), intervene(model, {Site(9): PUSH}):
        pass


@pytest.mark.parametrize("make", [lambda d: Add(d, 1.0), Ablate.of])
def test_a_direction_of_another_model_is_refused(
    model: LanguageModel, ragged: Tokens, make: Any
) -> None:
    other = make(directed.made(weights="0123456789abcdef", model="other"))
    with (
        pytest.raises(InputError, match=r"was read from other .*0123456789abcdef.*not from toy"),
        intervene(model, {SITE: other}),
    ):
        pass
    narrow = make(directed.made(width=8))
    with pytest.raises(InputError, match="width 8; toy has 32"), intervene(model, {SITE: narrow}):
        pass
    own = make(directed.made(weights=model.fingerprint))
    with intervene(model, {SITE: own}):
        model.logits(ragged)
    short = Shift(PUSH.push[:8])
    with (
        pytest.raises(InputError, match=r"Shift for L1.* has width 8"),
        intervene(model, {SITE: short}),
    ):
        pass


def test_the_weights_are_hashed_once_for_all_sites(
    model: LanguageModel, ragged: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = model.fingerprint
    hashed: list[int] = []

    def fingerprint(_self: LanguageModel) -> str:
        hashed.append(1)
        return own

    monkeypatch.setattr(LanguageModel, "fingerprint", property(fingerprint))
    ablate = Ablate.of(*(directed.made(seed, weights=own) for seed in range(3)))
    with intervene(model, dict.fromkeys(model.sites(), ablate)):
        model.logits(ragged)
    assert len(hashed) == 1


def test_a_model_that_fails_its_checks_is_not_written_to(toy: LanguageModel) -> None:
    with torch.no_grad():
        toy.network.model.layers[2].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(CheckError, match="identity"), intervene(toy, {SITE: PUSH}):
        pass
