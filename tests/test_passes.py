"""Shared prefixes: states computed once are those of whole texts, or texts are read whole."""

import dataclasses
import random
from typing import Any

import families
import numpy as np
import pytest
import torch

from repalign import architectures, checks
from repalign.activations import collect
from repalign.activations.extraction import Extraction
from repalign.examples import Example
from repalign.models import LanguageModel, passes
from repalign.models.modes import evaluating
from repalign.prefixes import Plan, Trie
from repalign.sites import Site
from repalign.tokens import Tokens

# ALiBi and the window of GPT-Neo count columns; a recurrent state is no key-value cache.
WHOLE = {"bloom", "mpt", "gpt_neo", "mamba", "jamba"}


def _texts(seed: int = 0, count: int = 40, vocabulary: int = 100) -> list[list[int]]:
    """Texts of which most begin like another one; some end inside another one."""
    draw = random.Random(seed)
    texts = [[draw.randrange(5, vocabulary) for _ in range(20)]]
    for _ in range(count - 1):
        start = draw.choice(texts)
        end = [draw.randrange(5, vocabulary) for _ in range(draw.randrange(0, 12))]
        texts.append(start[: draw.randrange(1, len(start) + 1)] + end)
    return texts


def _alone(model: LanguageModel, texts: list[list[int]], sites: list[Site]) -> np.ndarray:
    rows = []
    with evaluating(model.network):
        for text in texts:
            seen = model.capture(Tokens.pad([text], 0), sites)
            rows.append(torch.stack([seen[site][0] for site in sites], dim=1).numpy())
    return np.concatenate(rows)


def _planned(model: LanguageModel, plan: Plan, sites: list[Site]) -> np.ndarray:
    values = np.full((len(plan.trie), len(sites), model.d_model), np.nan, dtype=np.float32)
    with evaluating(model.network):
        for found in passes.run(model, plan, sites):
            assert np.isnan(values[found.nodes]).all(), "a node was handed over twice"
            for column, site in enumerate(sites):
                values[found.nodes, column] = found.values[site].numpy()
    return values[plan.trie.wanted]


@pytest.mark.parametrize("name", sorted(set(families.FAMILIES) - WHOLE))
def test_shared_states_are_those_of_whole_texts_in_every_family(name: str) -> None:
    model = families.model(name)
    texts = _texts()
    trie = Trie.of(texts, [range(len(text)) for text in texts])
    sites = [Site(0, "resid_pre"), Site(1, "mlp_out"), Site(2)]
    plan = Plan.of(trie, 48, row=12, overhead=2.0)
    assert {step.kept for step in plan.passes} == {True, False}
    assert any(step.kept and step.trunk is not None for step in plan.passes)
    found, wanted = _planned(model, plan, sites), _alone(model, texts, sites)
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_the_check_knows_which_families_cannot_share(name: str) -> None:
    model = families.model(name)
    found = checks.run(model).prefixes
    assert found.passed == (name not in WHOLE)
    assert found.passed or found.note or found.error > 0.01


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_families_that_cannot_share_are_read_whole_and_say_so(name: str) -> None:
    model = families.model(name)
    found = collect(model, toys_examples(), [Site(2)])
    assert found.origin["prefixes"].startswith("whole texts: ")
    for row, example in enumerate(toys_examples()):
        alone = collect(model, [example], [Site(2)]).values[0]
        assert found.values[row] == pytest.approx(alone, abs=2e-5)


def toys_examples() -> list[Example]:
    return [Example.of_text(f"the sea is {word}") for word in ("true", "false", "right")]


def test_a_model_that_shares_says_so(toy: LanguageModel) -> None:
    assert collect(toy, toys_examples(), [Site(2)]).origin["prefixes"] == "shared"


def _seeing_siblings(trie: Any, nodes: np.ndarray, before: int, model: LanguageModel) -> Any:
    rows, width = nodes.shape
    mask = torch.full((rows, 1, width, before + width), torch.finfo(model.dtype).min)
    return mask.triu(before + 1)


def test_a_wrong_mask_is_found_and_texts_are_read_whole(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = collect(families.model("llama"), toys_examples(), [Site(2)]).values
    fresh = LanguageModel(families.model("llama").network, toy.tokenizer, "llama")
    monkeypatch.setattr(passes, "_mask", _seeing_siblings)
    found = collect(fresh, toys_examples(), [Site(2)])
    assert found.origin["prefixes"].startswith("whole texts: shared states differ by")
    assert found.values == pytest.approx(wanted, abs=1e-5)


def test_a_trunk_that_is_forgotten_is_found(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(trunk: Any) -> Any:
        made = shared(trunk)
        layers: Any = made.layers
        for layer in layers:
            layer.values = torch.zeros_like(layer.values)
        return made

    shared = passes._shared
    monkeypatch.setattr(passes, "_shared", forgetful)
    assert not checks.run(toy).prefixes.passed


def test_attention_without_such_masks_is_read_whole(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Extraction.of(toy, toys_examples(), [Site(2)]).whole is None
    monkeypatch.setattr(toy.network.config, "_attn_implementation_internal", "flash_attention_2")
    assert "flash_attention_2" in (passes.obstacle(toy) or "")
    # Also where it was switched after the checks ran.
    switched = Extraction.of(toy, toys_examples(), [Site(2)])
    assert "flash_attention_2" in str(switched.whole)


def test_texts_longer_than_the_window_of_attention_are_read_whole() -> None:
    shared = families.model("mistral")
    assert shared.architecture.window == 4096
    model = LanguageModel(shared.network, shared.tokenizer, "mistral")
    model.architecture = dataclasses.replace(shared.architecture, window=8)
    short, long = (Example.of_text("sea " * count + "is true") for count in (5, 6))
    assert Extraction.of(model, [short], [Site(0)]).whole is None
    found = Extraction.of(model, [short, long], [Site(0)]).whole
    assert found == "a text has 9 tokens, and attention looks back 8"


def test_rotary_positions_that_depend_on_the_length_bound_what_is_shared() -> None:
    def beyond(kind: str, rope: dict[str, Any]) -> int | None:
        config = families.AutoConfig.for_model(kind, rope_parameters=rope)
        return architectures._scaled_beyond(config)

    scaled = {"rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 1024}
    assert beyond("llama", {**scaled, "rope_type": "dynamic"}) == 1024
    assert beyond("qwen2", {**scaled, "rope_type": "dynamic"}) == 1024
    assert beyond("llama", {**scaled, "rope_type": "linear"}) is None


def test_texts_scaled_by_their_length_are_read_whole_and_alone() -> None:
    shared = families.model("llama")
    model = LanguageModel(shared.network, shared.tokenizer, "llama")
    model.architecture = dataclasses.replace(shared.architecture, scaled_beyond=8)
    rows = [Example.of_text("sea " * count + "is true") for count in (2, 6)]
    work = Extraction.of(model, rows, [Site(0)])
    assert work.whole == "a text has 9 tokens, and positions are scaled by length beyond 8"
    assert [len(step.rows) for step in work.plan(0)[1].passes] == [1, 1]


def test_passes_end_after_the_deepest_site(toy: LanguageModel) -> None:
    texts = _texts(vocabulary=40)
    plan = Plan.of(Trie.of(texts, [[len(text) - 1] for text in texts]), 48, row=12, overhead=2.0)
    ran: list[int] = []
    handles = [
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
        for index, block in enumerate(toy.network.model.layers)
    ]
    list(passes.run(toy, plan, [Site(1)]))
    for handle in handles:
        handle.remove()
    assert set(ran) == {0, 1}
    assert ran.count(0) == len(plan.passes)


def test_states_of_trunks_are_dropped_when_nothing_stands_on_them(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gc
    import weakref

    made: list[Any] = []
    grown = passes._grown

    def watched(trunk: Any) -> Any:
        cache = grown(trunk)
        made.append(weakref.ref(cache))
        return cache

    monkeypatch.setattr(passes, "_grown", watched)
    texts = _texts(vocabulary=40)
    plan = Plan.of(Trie.of(texts, [[len(text) - 1] for text in texts]), 48, row=12, overhead=2.0)
    last_use = {step.trunk: index for index, step in enumerate(plan.passes)}
    trunks = [index for index, step in enumerate(plan.passes) if step.kept]
    assert len(trunks) > 2
    running = passes.run(toy, plan, [Site(1)])
    for index in range(len(plan.passes)):
        next(running)
        gc.collect()
        for number, trunk in enumerate(trunks):
            if last_use[trunk] < index:
                assert made[number]() is None
    assert list(running) == []
