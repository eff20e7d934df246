"""where: the positions that were named and no others, with the cache and in batches."""

from collections.abc import Callable
from typing import Any

import directed
import families
import pytest
import torch
import toy as toys
from torch import Tensor

from repalign.errors import CheckError, InputError
from repalign.interventions import Add, Patch, Shift, intervene
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.tokens import Tokens

# The deepest site, so that what is written changes no later key or value, only what is read here.
SITE = Site(toys.LAYERS - 1)
PUSH = Add(directed.made(4), 2.0)
VECTOR = torch.from_numpy(PUSH.push)
NEW = {"max_new_tokens": 4, "min_new_tokens": 4}


def _written(
    model: LanguageModel, where: Any, run: Callable[[], object], site: Site = SITE
) -> list[Tensor]:
    """For each pass, where the push was written: Bool `[batch pos]`."""
    before: list[Tensor] = []
    after: list[Tensor] = []
    # Of two writers the one opened first is first: this one sees states before the push.
    with (
        model.hooked({site: lambda x: before.append(x.clone())}),
        intervene(model, {site: PUSH}, where),
        model.hooked({site: lambda x: after.append(x.clone())}),
    ):
        run()
    found = []
    for old, new in zip(before, after, strict=True):
        moved = (new - old).abs().amax(dim=-1) > 0
        assert torch.allclose(new[moved] - old[moved], VECTOR.expand_as(new[moved]), atol=1e-5)
        found.append(moved)
    return found


def _list(written: list[Tensor]) -> list[list[list[int]]]:
    return [one.int().tolist() for one in written]


ALL, NONE = [[1], [1], [1]], [[0], [0], [0]]


@pytest.mark.parametrize(
    ("where", "prompt", "later"),
    [
        ("all", [[1, 1, 1, 1]] * 3, ALL),
        ("prompt", [[1, 1, 1, 1]] * 3, NONE),
        ("generated", [[0, 0, 0, 0]] * 3, ALL),
        ("last", [[0, 0, 0, 1]] * 3, ALL),
        # Of the second row, [8, 41], padding lies in the first two columns.
        (lambda p: p.attended & (p.start == 0), [[1] * 4, [0, 0, 1, 1], [0, 1, 1, 1]], NONE),
        (lambda p: p.attended, [[1] * 4, [0, 0, 1, 1], [0, 1, 1, 1]], ALL),
        (lambda p: p.ids == 41, [[0] * 4, [0, 0, 0, 1], [0] * 4], None),
        (lambda p: p.start in (0, 5), [[1, 1, 1, 1]] * 3, None),
    ],
)
def test_positions_in_generation_from_ragged_prompts(
    model: LanguageModel, prompts: Tokens, where: Any, prompt: Any, later: Any
) -> None:
    found = _list(_written(model, where, lambda: model.generate(prompts, **NEW)))
    assert [len(step[0]) for step in found] == [4, 1, 1, 1]
    assert found[0] == prompt
    if later is not None:
        assert found[1:] == [later] * 3
    elif prompt[0] == [1] * 4:
        assert found[1:] == [NONE, ALL, NONE]


def test_a_prompt_of_one_token_is_a_prompt(model: LanguageModel) -> None:
    def run() -> None:
        model.generate(Tokens.pad([[7], [8], [9]], 5, "left"), **NEW)

    for where, wanted in (
        ("prompt", [ALL, NONE, NONE, NONE]),
        ("generated", [NONE, ALL, ALL, ALL]),
    ):
        assert _list(_written(model, where, run)) == wanted


def test_last_in_a_pass_is_the_end_of_each_row(model: LanguageModel, ragged: Tokens) -> None:
    for side, wanted in (("right", [[0, 0, 0, 1], [0, 1, 0, 0]]), ("left", [[0, 0, 0, 1]] * 2)):
        tokens = Tokens.pad([[7, 30, 12, 55], [8, 41]], 5, side)  # type: ignore[arg-type]
        found = _list(_written(model, "last", lambda tokens=tokens: model.logits(tokens)))
        assert found == [wanted]
    found = _list(_written(model, "prompt", lambda: model.logits(ragged)))
    assert found == [[[1] * 4] * 2]


def test_what_is_written_at_some_positions_is_what_the_passes_go_on_with(
    model: LanguageModel, prompts: Tokens
) -> None:
    """Against a run by hand: the prompt whole, then each token, without a cache."""
    site, rows = Site(1), prompts
    options: dict[str, Any] = {
        "input_ids": rows.ids,
        "attention_mask": rows.attended.long(),
        "do_sample": False,
        "return_dict_in_generate": True,
        "output_logits": True,
        **NEW,
    }
    width = rows.ids.shape[1]
    for where in ("prompt", "generated", "last"):
        with intervene(model, {site: PUSH}, where):
            out = model.network.generate(**options)
        ids = out.sequences[:, :-1]
        attended = torch.cat([rows.attended, torch.ones(3, 3, dtype=torch.bool)], dim=1)
        places = torch.arange(ids.shape[1])
        chosen = {"prompt": places < width, "generated": places >= width, "last": places >= 3}
        push = chosen[where].float()[None, :, None] * VECTOR
        with model.hooked({site: lambda x, push=push: x + push}):
            wanted = model.logits(Tokens(ids, attended))[:, width - 1 :]
        assert torch.allclose(torch.stack(out.logits, dim=1), wanted, atol=1e-4), where


@pytest.mark.parametrize("where", ["prompt", "generated", "last"])
def test_passes_that_leave_it_open_are_refused(
    model: LanguageModel, prompts: Tokens, where: str
) -> None:
    def refused(message: str, **options: Any) -> None:
        with (
            pytest.raises(InputError, match=rf"where='{where}' depends on .*{message}"),
            intervene(model, {SITE: PUSH}, where),
        ):
            model.generate(prompts, **NEW, **options)

    refused("generation without a key-value cache", use_cache=False)
    refused("brings 2 tokens after 2 cached ones", prefill_chunk_size=2)


@pytest.mark.parametrize("where", ["prompt", "generated", "last"])
def test_speculative_decoding_is_refused(model: LanguageModel, where: str) -> None:
    prompt = Tokens.pad([[7, 30, 12, 55]], 5)
    with (
        pytest.raises(InputError, match=r"brings \d tokens after \d+ cached ones"),
        intervene(model, {SITE: PUSH}, where),
    ):
        model.generate(prompt, prompt_lookup_num_tokens=2, max_new_tokens=12, min_new_tokens=12)


def test_all_positions_leave_nothing_open(model: LanguageModel, prompts: Tokens) -> None:
    def logits(**options: Any) -> Tensor:
        out = model.network.generate(
            input_ids=prompts.ids,
            attention_mask=prompts.attended.long(),
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
            **NEW,
            **options,
        )
        return torch.stack(out.logits, dim=1)

    with intervene(model, {Site(1): PUSH}):
        wanted = logits()
        for options in ({"use_cache": False}, {"prefill_chunk_size": 2}):
            assert torch.allclose(logits(**options), wanted, atol=1e-4)
        prompt = Tokens.pad([[7, 30, 12, 55]], 5)
        plain = model.generate(prompt, **NEW)
        assert model.generate(prompt, prompt_lookup_num_tokens=2, **NEW) == plain


def test_reading_text_after_text_is_no_generation(model: LanguageModel) -> None:
    # Each text is the one before with a token more, which generation without a cache looks like.
    texts = [[7, 30], [7, 30, 12], [7, 30, 12, 55]]
    with intervene(model, {Site(1): PUSH}, "last"):
        found = [model.capture(Tokens.pad([text], 5), [SITE])[SITE] for text in texts]
    for text, one in zip(texts, found, strict=True):
        with intervene(model, {Site(1): PUSH}, "last"):
            alone = model.capture(Tokens.pad([text], 5), [SITE])[SITE]
        assert torch.equal(one, alone)


def test_a_single_new_token_was_not_generated_by_a_pass_of_its_own(
    model: LanguageModel, prompts: Tokens
) -> None:
    with (
        pytest.raises(CheckError, match=r"'generated' chose no position.*two tokens or more"),
        intervene(model, {SITE: PUSH}, "generated"),
    ):
        model.generate(prompts, max_new_tokens=1)
    with intervene(model, {SITE: PUSH}, "generated"):
        model.generate(prompts, max_new_tokens=2, min_new_tokens=2)


def test_functions_that_choose_nothing_or_nonsense_are_refused(
    model: LanguageModel, ragged: Tokens
) -> None:
    for never in (lambda p: torch.zeros_like(p.attended), lambda _: False):
        with (
            pytest.raises(CheckError, match="chose no position in any of the passes"),
            intervene(model, {SITE: PUSH}, never),
        ):
            model.logits(ragged)
    wrong: list[tuple[Any, str]] = [
        (lambda p: p.attended.long(), "int64 tensor of shape"),
        (lambda p: p.attended[:1, :1], r"shape \(1, 1\).*boolean of shape \(2, 4\)"),
        (lambda p: p.attended[0], r"shape \(4,\)"),
        (lambda _: None, "gave None"),
    ]
    for where, message in wrong:
        with pytest.raises(InputError, match=message), intervene(model, {SITE: PUSH}, where):
            model.logits(ragged)
    with (
        pytest.raises(InputError, match="no place to write at 'answer'"),
        intervene(model, {SITE: PUSH}, "answer"),
    ):
        pass


def test_embeddings_and_arguments_by_place_are_understood(
    model: LanguageModel, prompts: Tokens
) -> None:
    embedded = model.network.get_input_embeddings()(prompts.ids).detach()
    mask = prompts.attended.long()

    def by_embedding() -> None:
        model.network.generate(inputs_embeds=embedded, attention_mask=mask, do_sample=False, **NEW)

    found = _list(_written(model, "last", by_embedding))
    assert found == [[[0, 0, 0, 1]] * 3, ALL, ALL, ALL]
    decoder: Any = model.architecture.decoder

    def by_place() -> None:
        with torch.no_grad():
            out = decoder(prompts.ids, mask, use_cache=True)
            longer = torch.cat([mask, torch.ones(3, 1, dtype=torch.long)], dim=1)
            decoder(prompts.ids[:, -1:], longer, None, out.past_key_values)

    assert _list(_written(model, "prompt", by_place)) == [[[1] * 4] * 3, NONE]
    padded_on_the_right = Tokens.pad([[7, 30, 12, 55], [8, 41]], 5)

    def once() -> None:
        with torch.no_grad():
            decoder(padded_on_the_right.ids, padded_on_the_right.attended.long())

    assert _list(_written(model, "last", once)) == [[[0, 0, 0, 1], [0, 1, 0, 0]]]


@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_prompt_and_generated_tokens_are_told_apart_in_every_family(
    name: str, prompts: Tokens
) -> None:
    model = families.unchecked(name)
    site = model.sites()[-1]

    def run() -> None:
        # MPT generates without a cache unless told to use it.
        model.generate(prompts, use_cache=True, **NEW)

    for where, wanted in (
        ("generated", [[[0] * 4] * 3, ALL, ALL, ALL]),
        ("last", [[[0, 0, 0, 1]] * 3, ALL, ALL, ALL]),
    ):
        assert _list(_written(model, where, run, site)) == wanted


def test_a_static_cache_is_understood(model: LanguageModel, prompts: Tokens) -> None:
    def run() -> None:
        model.generate(prompts, cache_implementation="static", **NEW)

    for where, wanted in (
        ("generated", [[[0] * 4] * 3, ALL, ALL, ALL]),
        ("last", [[[0, 0, 0, 1]] * 3, ALL, ALL, ALL]),
        (
            lambda p: p.attended & (p.start == 0),
            [[[1] * 4, [0, 0, 1, 1], [0, 1, 1, 1]], NONE, NONE, NONE],
        ),
    ):
        assert _list(_written(model, where, run)) == wanted


def test_only_the_prompt_is_patched_whatever_else_is_written(
    model: LanguageModel, prompts: Tokens
) -> None:
    values = torch.randn(3, 4, toys.WIDTH)
    seen: list[Tensor] = []
    with (
        intervene(model, {Site(1): Patch(values), Site(2): Shift(PUSH.push)}),
        model.hooked({Site(1): lambda x: seen.append(x.clone())}),
    ):
        model.generate(prompts, **NEW)
    assert torch.equal(seen[0], values)
    assert all(x.shape[1] == 1 for x in seen[1:])
