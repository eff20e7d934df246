"""Erase takes away what LEACE takes away; Patch puts one run's states into another's."""

import numpy as np
import pytest
import torch
import toy as toys

from probes import LEACE
from repalign.activations import Activations, collect
from repalign.errors import InputError
from repalign.interventions import Erase, Patch, intervene
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.tokens import Tokens

SITE = Site(1)


@pytest.fixture(scope="module")
def rows(model: LanguageModel) -> Activations:
    """The toy's statements at the last token of two sites."""
    return collect(model, toys.statements(), [SITE, Site(2)])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_erase_is_the_map_of_leace(rows: Activations, dtype: torch.dtype) -> None:
    erase = Erase.of(rows, SITE)
    fitted = LEACE().fit(rows.at(SITE).astype(np.float64), rows.labels)
    states = torch.randn(3, 4, toys.WIDTH).to(dtype)
    wanted = fitted.transform(states.double().reshape(-1, toys.WIDTH).numpy())
    found = erase(states)
    assert found.dtype == dtype
    tolerance = {torch.bfloat16: 0.05, torch.float32: 1e-4, torch.float64: 1e-9}[dtype]
    assert found.double().reshape(-1, toys.WIDTH).numpy() == pytest.approx(wanted, abs=tolerance)
    assert (found - states).abs().max() > 0.1


def test_after_erasing_the_classes_have_one_mean(model: LanguageModel, rows: Activations) -> None:
    erase = Erase.of(rows, SITE)
    with intervene(model, {SITE: erase}):
        erased = collect(model, toys.statements(), [SITE])

    def apart(found: Activations) -> float:
        values = found.at(SITE).astype(np.float64)
        true, false = values[found.labels == 1], values[found.labels == 0]
        return float(np.linalg.norm(true.mean(axis=0) - false.mean(axis=0)))

    assert apart(rows) > 3
    assert apart(erased) < 1e-4 * apart(rows)
    # What does not tell the classes apart is still there.
    assert np.linalg.norm(erased.at(SITE).std(axis=0)) > 0.5 * np.linalg.norm(
        rows.at(SITE).std(axis=0)
    )


def test_erase_passes_its_options_on(rows: Activations) -> None:
    fine, coarse = Erase.of(rows, SITE), Erase.of(rows, SITE, covariance="oas")
    assert not np.allclose(fine.readout, coarse.readout)


def test_erase_needs_a_site_both_labels_and_its_own_model(
    model: LanguageModel, rows: Activations, ragged: Tokens
) -> None:
    with pytest.raises(InputError, match="2 sites; say which"):
        Erase.of(rows)
    with pytest.raises(InputError, match="labels 1 and 0, both present"):
        Erase.of(rows.rows(rows.labels == 1), SITE)
    erase = Erase.of(rows, SITE)
    assert erase.weights == model.fingerprint
    other = Erase(erase.mean, erase.removed, erase.readout, "0123456789abcdef")
    with (
        pytest.raises(InputError, match=r"Erase for .* was read from another model"),
        intervene(model, {SITE: other}),
    ):
        model.logits(ragged)
    narrow = Erase(erase.mean[:8], erase.removed[:, :8], erase.readout[:, :8])
    with pytest.raises(InputError, match="width 8"), intervene(model, {SITE: narrow}):
        model.logits(ragged)


ONE = Tokens.pad([[7, 30, 12, 55], [8, 41, 9, 9]], 5)
OTHER = Tokens.pad([[9, 14, 60, 21], [33, 8, 12, 40]], 5)


@pytest.mark.parametrize("layer", range(toys.LAYERS))
def test_all_positions_of_a_layer_carry_everything_that_follows(
    model: LanguageModel, layer: int
) -> None:
    site = Site(layer)
    values = model.capture(OTHER, [site])[site]
    with intervene(model, {site: Patch(values)}):
        patched = model.logits(ONE)
    # Rotary positions depend on places alone, so every later layer computes the other prompt's.
    assert torch.allclose(patched, model.logits(OTHER), atol=1e-5)
    assert not torch.allclose(patched, model.logits(ONE), atol=1e-2)


def test_a_mask_replaces_its_positions_only(model: LanguageModel) -> None:
    site = Site(1)
    own, values = (model.capture(tokens, [site])[site] for tokens in (ONE, OTHER))
    kept = torch.tensor([[False, True, False, True], [True, False, False, False]])
    with intervene(model, {site: Patch(values, kept)}):
        found = model.capture(ONE, [site])[site]
    assert torch.equal(found[kept], values[kept])
    assert torch.equal(found[~kept], own[~kept])


def test_one_row_serves_all(model: LanguageModel) -> None:
    site = Site(1)
    values = model.capture(OTHER, [site])[site][:1]
    with intervene(model, {site: Patch(values, torch.tensor([[True, False, True, False]]))}):
        found = model.capture(ONE, [site])[site]
    assert torch.equal(found[:, [0, 2]], values[:, [0, 2]].expand(2, -1, -1))
    assert not torch.equal(found[:, 1], values[:, 1].expand(2, -1))


def test_only_the_prompt_is_patched(model: LanguageModel) -> None:
    site = model.sites()[-1]
    values = model.capture(OTHER, [site])[site]
    options = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
    seen: list[torch.Tensor] = []
    with (
        intervene(model, {site: Patch(values)}),
        model.hooked({site: lambda x: seen.append(x.clone())}),
    ):
        model.generate(ONE, **options)
    assert torch.equal(seen[0], values)
    assert [x.shape[1] for x in seen] == [4, 1, 1, 1]
    # The first new token is the other prompt's, and what follows is computed and not patched.
    first = model.logits(OTHER)[:, -1].argmax(dim=-1)
    cache_free = Tokens(torch.cat([ONE.ids, first[:, None]], 1), torch.ones(2, 5, dtype=torch.bool))
    wanted = model.capture(cache_free, [site])[site][:, -1:]
    assert torch.allclose(seen[1], wanted, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 32), (3, 4, 32)])
def test_another_shape_is_refused(model: LanguageModel, shape: tuple[int, ...]) -> None:
    with (
        pytest.raises(InputError, match=rf"{shape[0]}, {shape[1]}, 32\).*\(2, 4, 32\)"),
        intervene(model, {Site(1): Patch(torch.zeros(shape))}),
    ):
        model.logits(ONE)
    with (
        pytest.raises(InputError, match="width 8; toy has 32"),
        intervene(model, {Site(1): Patch(torch.zeros(2, 4, 8))}),
    ):
        model.logits(ONE)


def test_masks_and_values_that_cannot_be_meant_are_refused() -> None:
    values = torch.zeros(2, 4, 32)
    with pytest.raises(InputError, match="keeps no position"):
        Patch(values, torch.zeros(2, 4, dtype=torch.bool))
    for kept in (torch.ones(2, 3, dtype=torch.bool), torch.ones(1, 4, dtype=torch.bool)):
        with pytest.raises(InputError, match="as many rows and positions"):
            Patch(values, kept)
    values[0, 1, 2] = float("nan")
    with pytest.raises(InputError, match="NaN or infinity"):
        Patch(values)
