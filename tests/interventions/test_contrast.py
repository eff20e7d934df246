"""Contrast: each text is moved by what its honest and dishonest copies differ by."""

import families
import pytest
import torch
from torch import Tensor

from repalign.errors import InputError
from repalign.interventions import Contrast, intervene, together, triples
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.tokens import Tokens

PLAIN = [[30, 31, 32], [9, 41]]
HONEST = [[7, 8, 30, 31, 32], [10, 9, 41]]
DISHONEST = [[7, 11, 30, 31, 32], [12, 13, 14, 9, 41]]
ROWS = triples(PLAIN, HONEST, DISHONEST)
BATCH = Tokens.pad(ROWS, 5, "left")


def _alone(model: LanguageModel, row: list[int], site: Site) -> Tensor:
    """The states of one text in a pass of its own `[pos d_model]`."""
    return model.capture(Tokens.pad([row], 5), [site])[site][0]


def test_triples_lie_side_by_side() -> None:
    assert ROWS[:3] == [PLAIN[0], HONEST[0], DISHONEST[0]]
    assert ROWS[3:] == [PLAIN[1], HONEST[1], DISHONEST[1]]
    with pytest.raises(InputError, match="2 texts, 1 honest and 2 dishonest"):
        triples(PLAIN, HONEST[:1], DISHONEST)


@pytest.mark.parametrize("layer", [0, 2])
def test_at_one_site_it_is_the_formula_over_three_separate_passes(
    model: LanguageModel, layer: int
) -> None:
    site = Site(layer)
    with intervene(model, {site: Contrast(0.75)}):
        found = model.capture(BATCH, [site])[site]
    for index, (plain, honest, dishonest) in enumerate(zip(PLAIN, HONEST, DISHONEST, strict=True)):
        own, up, down = (_alone(model, row, site) for row in (plain, honest, dishonest))
        # The last two tokens of each; all of the plain text, for it is the common end.
        size = len(plain)
        wanted = own + 0.75 * (up[-size:] - down[-size:])
        moved = found[3 * index, -size:]
        assert torch.allclose(moved, wanted, atol=1e-4)
        assert (moved - own).abs().max() > 0.1
        # The instructed rows are what they are alone.
        for row, alone in ((1, up), (2, down)):
            assert torch.allclose(found[3 * index + row][-len(alone) :], alone, atol=1e-4)


def test_tokens_ahead_of_the_common_end_are_not_moved(model: LanguageModel) -> None:
    site = Site(1)
    rows = triples([[20, 30, 31]], [[7, 8, 30, 31]], [[9, 30, 31]])
    tokens = Tokens.pad(rows, 5, "left")
    plain = model.capture(tokens, [site])[site]
    with intervene(model, {site: Contrast(1.0)}):
        found = model.capture(tokens, [site])[site]
    moved = (found - plain).abs().amax(dim=-1) > 1e-6
    assert moved.tolist() == [[False, False, True, True], [False] * 4, [False] * 4]


def test_at_several_sites_each_layer_moves_what_the_layers_before_made_of_it(
    model: LanguageModel,
) -> None:
    first, second = Site(0), Site(1)
    with intervene(model, {first: Contrast(0.5), second: Contrast(0.5)}):
        both = model.capture(BATCH, [second, Site(3)])
    size = len(PLAIN[0])
    own, up, down = (
        _alone(model, row, first)[-size:] for row in (PLAIN[0], HONEST[0], DISHONEST[0])
    )
    pushed = own + 0.5 * (up - down)
    # By hand: put the moved states in at the first site, and move what comes of it at the second.
    with model.hooked({first: lambda x: pushed.expand_as(x)}):
        made = _alone(model, PLAIN[0], second)
    up, down = (_alone(model, row, second)[-size:] for row in (HONEST[0], DISHONEST[0]))
    wanted = made + 0.5 * (up - down)
    assert torch.allclose(both[second][0, -size:], wanted, atol=1e-4)


def test_it_goes_on_in_generation_with_the_cache_as_without(model: LanguageModel) -> None:
    options = {
        "max_new_tokens": 5,
        "min_new_tokens": 5,
        "do_sample": False,
        "logits_processor": [together],
        "return_dict_in_generate": True,
        "output_logits": True,
        "input_ids": BATCH.ids,
        "attention_mask": BATCH.attended.long(),
    }
    sites = {Site(1): Contrast(1.0), Site(2): Contrast(1.0)}
    plain = model.network.generate(**options)
    with intervene(model, sites):
        cached = model.network.generate(**options)
        whole = model.network.generate(**options, use_cache=False)
    new = cached.sequences[:, BATCH.ids.shape[1] :]
    # The rows of a triple say the same.
    assert torch.equal(new[0::3], new[1::3])
    assert torch.equal(new[0::3], new[2::3])
    assert torch.equal(cached.sequences, whole.sequences)
    for step in range(5):
        assert torch.allclose(cached.logits[step], whole.logits[step], atol=1e-4)
        assert (cached.logits[step][0::3] - plain.logits[step][0::3]).abs().max() > 0.01
    # And the text that was moved decides, as a batch by hand would: here of one step.
    assert torch.equal(new[:, 0], cached.logits[0][[0, 0, 0, 3, 3, 3]].argmax(dim=-1))


def test_rows_that_part_in_generation_are_refused(model: LanguageModel) -> None:
    with (
        pytest.raises(InputError, match="no common end"),
        intervene(model, {Site(1): Contrast(1.0)}),
    ):
        model.generate(BATCH, max_new_tokens=8, min_new_tokens=8)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_rows_that_are_no_triples_are_refused(model: LanguageModel, count: int) -> None:
    tokens = Tokens.pad((ROWS * 2)[:count], 5, "left")
    with (
        pytest.raises(InputError, match=rf"triples of rows; this batch has {count} rows"),
        intervene(model, {Site(1): Contrast()}),
    ):
        model.logits(tokens)


@pytest.mark.parametrize(
    "rows",
    [
        triples([[30, 31]], [[7, 30, 32]], [[8, 30, 31]]),
        triples([[30, 31]], [[7, 30, 31]], [[8, 30, 33]]),
    ],
)
def test_rows_without_a_common_end_are_refused(model: LanguageModel, rows: list[list[int]]) -> None:
    with (
        pytest.raises(InputError, match="no common end"),
        intervene(model, {Site(1): Contrast()}),
    ):
        model.logits(Tokens.pad(rows, 5, "left"))


def test_rows_padded_on_the_right_have_no_common_end(model: LanguageModel) -> None:
    # Of the second batch all rows of the first triple end in padding, which is no common end.
    longer = triples([[8, 30], [8, 30, 31]], [[9, 30], [9, 30, 31]], [[7, 30], [7, 30, 31]])
    for rows in (ROWS, longer):
        with (
            pytest.raises(InputError, match="no common end"),
            intervene(model, {Site(1): Contrast()}),
        ):
            model.logits(Tokens.pad(rows, 5, "right"))


def test_embeddings_are_refused_for_they_show_no_tokens(model: LanguageModel) -> None:
    embedded = model.network.get_input_embeddings()(BATCH.ids)
    with (
        torch.no_grad(),
        pytest.raises(InputError, match="needs token ids"),
        intervene(model, {Site(1): Contrast()}),
    ):
        model.network(inputs_embeds=embedded, attention_mask=BATCH.attended.long())


@pytest.mark.parametrize("name", ["gpt2", "bloom", "gemma3_text", "mamba", "jamba"])
def test_the_formula_holds_in_other_families(name: str) -> None:
    model = families.unchecked(name)
    site = Site(1)
    with intervene(model, {site: Contrast(0.75)}):
        found = model.capture(BATCH, [site])[site]
    own, up, down = (_alone(model, row, site) for row in (PLAIN[0], HONEST[0], DISHONEST[0]))
    wanted = own[-3:] + 0.75 * (up[-3:] - down[-3:])
    assert torch.allclose(found[0, -3:], wanted, rtol=1e-4, atol=1e-4)
