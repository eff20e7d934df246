"""Activations: each row holds the state of its own example, position and site."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy as toys
from transformers import AutoTokenizer

from repalign.activations import Activations, collect
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.spans import Span, read
from repalign.tokens import Tokens

STREAMS = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")
EVERYWHERE = tuple(Site(layer, stream) for layer in range(toys.LAYERS) for stream in STREAMS)
TEXTS = [
    "the sea is true",
    "moon",
    "the lamp and the door and the bird and the fish is false",
    "the hill and the moon is right",
    "rain is wrong",
]
ROWS = [Example.of_text(text, index % 2, f"g{index}") for index, text in enumerate(TEXTS)]


def _whole(model: LanguageModel, example: Example, site: Site) -> np.ndarray:
    """Every position of one text, by a plain forward with hidden states and without our hooks."""
    ids = read(model.tokenizer, example, Span("all")).ids
    with torch.no_grad():
        states = model.network(torch.tensor([ids]), output_hidden_states=True).hidden_states
    return states[site.layer + 1][0].numpy()


def test_rows_are_in_the_order_of_the_examples(toy: LanguageModel) -> None:
    found = collect(toy, ROWS, [Site(1)], max_tokens=16)
    assert found.example.tolist() == list(range(len(ROWS)))
    assert found.labels.tolist() == [0, 1, 0, 1, 0]
    assert found.groups.tolist() == [f"g{index}" for index in range(5)]
    for index, row in enumerate(ROWS):
        ids = read(toy.tokenizer, row, Span("all")).ids
        assert found.pos[index] == len(ids) - 1
        wanted = _whole(toy, row, Site(1))[-1]
        assert found.at(Site(1))[index] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("where", ["last", "all", r"regex:(sea|moon|lamp and)"])
def test_a_batch_reads_as_one_by_one_at_every_site(toy: LanguageModel, where: str) -> None:
    rows = [row for row in ROWS if where != "regex:(sea|moon|lamp and)" or row.text[:4] != "rain"]
    together = collect(toy, rows, EVERYWHERE, where, max_tokens=40)
    alone = [collect(toy, [row], EVERYWHERE, where) for row in rows]
    assert together.values.shape[1:] == (len(EVERYWHERE), toys.WIDTH)
    assert together.values == pytest.approx(np.concatenate([a.values for a in alone]), abs=1e-5)
    assert together.pos.tolist() == [p for a in alone for p in a.pos]


def test_a_span_gives_a_row_for_each_of_its_tokens(toy: LanguageModel) -> None:
    found = collect(toy, ROWS, [Site(2)], "all", max_tokens=24)
    for index, row in enumerate(ROWS):
        mine = found.rows(found.example == index)
        reading = read(toy.tokenizer, row, Span("all"))
        assert mine.pos.tolist() == reading.positions
        assert set(mine.groups) == {f"g{index}"}
        wanted = _whole(toy, row, Site(2))[reading.positions]
        assert mine.at(Site(2)) == pytest.approx(wanted, abs=1e-5)


def test_the_marker_is_read_where_it_was_planted(toy: LanguageModel) -> None:
    found = collect(toy, toys.statements(), EVERYWHERE, "all", max_tokens=64)
    ids = [read(toy.tokenizer, row, Span("all")).ids for row in toys.statements()]
    for stream in ("resid_pre", "resid_mid", "resid_post"):
        for layer in range(toys.LAYERS):
            projected = found.at(Site(layer, stream)) @ toys.direction().numpy()
            last = np.array([len(ids[e]) - 1 for e in found.example]) == found.pos
            sign = np.where(found.labels == 1, 1.0, -1.0) * last
            assert projected == pytest.approx(toys.STRENGTH * sign, abs=1e-4)


def test_a_chat_is_read_at_the_answer(toy: LanguageModel) -> None:
    row = Example.of_chat("the sea is true", "the moon is false", 0)
    found = collect(toy, [row], [Site(0)], "answer")
    reading = read(toy.tokenizer, row, Span("answer"))
    assert "the moon is false" in toy.tokenizer.decode([reading.ids[p] for p in found.pos])
    projected = found.at(Site(0)) @ toys.direction().numpy()
    assert projected.tolist() == pytest.approx([0, 0, 0, -toys.STRENGTH], abs=1e-4)


def test_reading_agrees_with_hidden_states_bit_for_bit_in_the_same_batch(
    toy: LanguageModel,
) -> None:
    rows = [ROWS[2]] * 3
    found = collect(toy, rows, toy.sites())
    ids = read(toy.tokenizer, ROWS[2], Span("all")).ids
    tokens = Tokens.pad([ids] * 3, 0)
    with torch.no_grad():
        states = toy.forward(tokens, output_hidden_states=True).hidden_states
    for site in toy.sites()[:-1]:
        assert np.array_equal(found.at(site), states[site.layer + 1][:, -1].numpy())
    # The last entry has passed the final norm, and is not the last block's output.
    final = toy.network.model.norm(torch.from_numpy(found.at(toy.sites()[-1])))
    assert torch.allclose(final, states[-1][:, -1], atol=1e-6)
    assert not torch.allclose(states[-1][:, -1], torch.from_numpy(found.at(toy.sites()[-1])))


def test_a_text_longer_than_the_context_is_named_and_not_cut(toy: LanguageModel) -> None:
    fits = Example.of_text("sea " * (toys.CONTEXT - 2) + "is")
    assert len(read(toy.tokenizer, fits, Span("all")).ids) == toys.CONTEXT
    assert collect(toy, [fits], [Site(0)]).pos.tolist() == [toys.CONTEXT - 1]
    long = Example.of_text("sea " * (toys.CONTEXT - 1) + "is")
    with pytest.raises(
        InputError, match=rf"Example 1 has {toys.CONTEXT + 1} tokens, more than the 160"
    ):
        collect(toy, [fits, long], [Site(0)])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_name_site_and_example(toy: LanguageModel, value: float) -> None:
    token = toy.tokenizer.convert_tokens_to_ids("▁bird")
    toy.allow_failed = ("padding", "sites", "sums", "identity", "applied")
    with torch.no_grad():
        toy.network.model.embed_tokens.weight[token] = value
    rows = [ROWS[0], ROWS[1], Example.of_text("the bird")]
    with pytest.raises(
        InputError,
        match=r"1 of 3 activations of toy .* at L1\.resid_post in example 2 \('the bird'\)",
    ):
        collect(toy, rows, [Site(1), Site(0)])
    assert len(collect(toy, rows[:2], [Site(1)])) == 2


def test_nothing_to_read_is_refused(toy: LanguageModel) -> None:
    with pytest.raises(InputError, match="No examples"):
        collect(toy, [], [Site(0)])
    with pytest.raises(InputError, match="No sites"):
        collect(toy, ROWS, [])
    with pytest.raises(InputError, match="no site L4"):
        collect(toy, ROWS, [Site(4)])
    with pytest.raises(InputError, match="covers no token"):
        collect(toy, ROWS, [Site(0)], "regex:sea")
    with pytest.raises(InputError, match="no span 'lst'"):
        collect(toy, ROWS, [Site(0)], "lst")


def test_every_module_gets_its_mode_back(toy: LanguageModel) -> None:
    toy.network.train()
    toy.network.model.layers[1].eval()
    toy.network.model.layers[2].mlp.eval()
    modes = {name: module.training for name, module in toy.network.named_modules()}
    collect(toy, ROWS, [Site(0)])
    assert modes == {name: module.training for name, module in toy.network.named_modules()}
    with pytest.raises(ZeroDivisionError):
        collect(toy, ROWS, [Site(0)], progress=lambda done, _: done // 0)  # type: ignore[arg-type]
    assert modes == {name: module.training for name, module in toy.network.named_modules()}


def test_dropout_is_off_while_reading(toy: LanguageModel) -> None:
    for block in toy.network.model.layers:
        block.self_attn.attention_dropout = 0.9
    toy.network.train()
    first, second = (collect(toy, ROWS, [Site(3)]).values for _ in range(2))
    assert np.array_equal(first, second)


def test_progress_reaches_the_number_of_examples(toy: LanguageModel) -> None:
    seen: list[tuple[int, int]] = []
    collect(toy, ROWS, [Site(0)], max_tokens=20, progress=lambda *at: seen.append(at))
    assert len(seen) > 1
    assert seen[-1] == (5, 5)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_examples_may_come_from_a_generator_and_sites_twice(toy: LanguageModel) -> None:
    found = collect(toy, iter(ROWS), [Site(1), Site(0), Site(1)])
    assert found.sites == (Site(1), Site(0))
    assert len(found) == 5


def test_labels_groups_and_topics_that_are_unknown_are_marked(toy: LanguageModel) -> None:
    rows = [
        Example.of_text("the sea"),
        Example.of_text("the moon", topic="sky", polarity="negated"),
    ]
    found = collect(toy, rows, [Site(0)])
    assert found.labels.tolist() == [-1, -1]
    assert len(set(found.groups)) == 2
    assert (found.topics.tolist(), found.polarity.tolist()) == (["", "sky"], [0, -1])


def test_rows_and_sites_are_picked_together(toy: LanguageModel) -> None:
    found = collect(toy, ROWS, EVERYWHERE)
    kept = found.rows(found.labels == 1).only([Site(3), Site(0, "mlp_out")])
    assert kept.groups.tolist() == ["g1", "g3"]
    assert np.array_equal(kept.at(Site(0, "mlp_out")), found.at(Site(0, "mlp_out"))[[1, 3]])
    parts = [found.rows(np.array([index])) for index in range(5)]
    joined = Activations.join(parts)
    assert np.array_equal(joined.values, found.values)
    assert joined.groups.tolist() == found.groups.tolist()
    with pytest.raises(InputError, match="same sites"):
        Activations.join([found, kept])


def test_transformer_lens_reads_the_same(toy: LanguageModel, tmp_path: Path) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    # It wants a tokenizer that was loaded, and changes the network that it is given.
    toy.tokenizer.save_pretrained(tmp_path)
    bridge: Any = TransformerBridge.boot_transformers(
        "toy",
        hf_model=copy.deepcopy(toy.network),
        tokenizer=AutoTokenizer.from_pretrained(tmp_path),
        device="cpu",
    )
    model, example = toy, ROWS[2]
    ids = torch.tensor([read(model.tokenizer, example, Span("all")).ids])
    names = {
        "resid_pre": "hook_in",
        "resid_post": "hook_out",
        "attn_out": "attn.hook_out",
        "mlp_out": "mlp.hook_out",
    }
    with torch.no_grad():
        _, cache = bridge.run_with_cache(ids)
    sites = [Site(layer, stream) for layer in (0, 1, 3) for stream in names]
    assert len(sites) == 12
    found = collect(model, [example], sites, "all")
    begin = int(found.pos[0])
    for site in sites:
        wanted = cache[f"blocks.{site.layer}.{names[site.stream]}"][0][begin:].numpy()
        assert found.at(site) == pytest.approx(wanted, abs=1e-4), site


def test_smollm2_reads_as_its_hidden_states(smollm2: LanguageModel) -> None:
    sites = [Site(layer) for layer in (0, 9, 17, 28)]
    rows = [Example.of_text("The city of Paris is in France."), Example.of_text("Two is 2.")]
    found = collect(smollm2, rows, sites, "all")
    for index, row in enumerate(rows):
        mine = found.rows(found.example == index)
        for site in sites:
            wanted = _whole(smollm2, row, site)[mine.pos]
            error = np.linalg.norm(mine.at(site) - wanted) / np.linalg.norm(wanted)
            assert error < 1e-5
