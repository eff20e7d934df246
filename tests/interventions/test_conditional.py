"""Conditional: only where the probe says so, each row and token for itself."""

from typing import Any

import directed
import families
import numpy as np
import pytest
import torch
import toy as toys
from jaxtyping import TypeCheckError
from torch import Tensor

from repalign.errors import InputError
from repalign.interventions import Add, Conditional, Contrast, Patch, intervene
from repalign.models import LanguageModel
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span
from repalign.tokens import Tokens

READ, WRITTEN = Site(0), Site(2)
PUSH = Add(directed.made(4), 2.0)
ROWS = [[7, 30, 12, 55], [8, 41], [9, 22, 13]]


def _readout(*sites: Site, width: int = toys.WIDTH, intercept: float = 0.25) -> Readout:
    coef = np.random.default_rng(1).normal(size=(len(sites), width))
    return Readout(sites, coef, intercept, Span("last"))


def _scores(model: LanguageModel, tokens: Tokens, readout: Readout) -> Tensor:
    seen = model.capture(tokens, readout.sites)
    parts = [
        seen[site].double() @ torch.from_numpy(coef)
        for site, coef in zip(readout.sites, readout.coef, strict=True)
    ]
    return (torch.stack(parts).sum(dim=0) + readout.intercept).float()


def _between(values: Tensor) -> float:
    """A threshold amid values, far from each."""
    ordered = values.flatten().sort().values
    gaps = ordered[1:] - ordered[:-1]
    place = int(gaps[1:-1].argmax()) + 1 if len(gaps) > 2 else int(gaps.argmax())
    return float((ordered[place] + ordered[place + 1]) / 2)


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("sites", [(Site(0),), (Site(0), Site(1, "attn_out"))])
def test_only_tokens_on_the_named_side_of_the_threshold_move(
    model: LanguageModel, ragged: Tokens, above: bool, sites: tuple[Site, ...]
) -> None:
    readout = _readout(*sites)
    scores = _scores(model, ragged, readout)
    threshold = _between(scores)
    plain = model.capture(ragged, [WRITTEN])[WRITTEN]
    with intervene(model, {WRITTEN: Conditional(PUSH, readout, threshold, above)}):
        found = model.capture(ragged, [WRITTEN])[WRITTEN]
    fires = scores >= threshold if above else scores < threshold
    assert 0 < int(fires.sum()) < fires.numel()
    assert torch.equal(found[~fires], plain[~fires])
    assert torch.allclose(found[fires], PUSH(plain)[fires], atol=1e-6)


def test_a_score_at_the_threshold_counts_as_above_it(model: LanguageModel, ragged: Tokens) -> None:
    # A readout that reads nothing scores its intercept everywhere.
    silent = Readout((READ,), np.zeros((1, toys.WIDTH)), 0.25, Span("last"))
    plain = model.capture(ragged, [WRITTEN])[WRITTEN]
    for above in (False, True):
        with intervene(model, {WRITTEN: Conditional(PUSH, silent, 0.25, above)}):
            found = model.capture(ragged, [WRITTEN])[WRITTEN]
        assert torch.equal(found, PUSH(plain) if above else plain)


def _generated(model: LanguageModel, tokens: Tokens, **options: Any) -> tuple[Tensor, Tensor]:
    out = model.network.generate(
        input_ids=tokens.ids,
        attention_mask=tokens.attended.long(),
        max_new_tokens=6,
        min_new_tokens=6,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
        **options,
    )
    return torch.stack(out.logits, dim=1), out.sequences[:, tokens.ids.shape[1] :]


def test_tokens_decide_with_the_cache_as_without_and_alone_as_in_a_batch(
    model: LanguageModel, prompts: Tokens
) -> None:
    readout = _readout(READ)
    threshold = _between(_scores(model, prompts, readout)[prompts.attended])
    when = Conditional(PUSH, readout, threshold)
    plain, _ = _generated(model, prompts)
    with intervene(model, {WRITTEN: when}):
        cached, words = _generated(model, prompts)
        whole, other = _generated(model, prompts, use_cache=False)
        alone = [_generated(model, Tokens.pad([row], 5, "left"))[0][0] for row in ROWS]
    assert torch.equal(words, other)
    assert torch.allclose(cached, whole, atol=1e-4)
    assert torch.allclose(cached, torch.stack(alone), atol=1e-4)
    assert (cached - plain).abs().max() > 0.01


def _deciding(model: LanguageModel, prompts: Tokens, above: bool) -> tuple[Conditional, Tensor]:
    readout = _readout(READ)
    # At the end of the prompt, which is the last column: the padding lies on the left.
    ends = _scores(model, prompts, readout)[:, -1]
    threshold = _between(ends)
    fires = ends >= threshold if above else ends < threshold
    return Conditional(PUSH, readout, threshold, above, scope="row"), fires


@pytest.mark.parametrize("above", [False, True])
def test_rows_decide_once_at_the_end_of_the_prompt(
    model: LanguageModel, prompts: Tokens, above: bool
) -> None:
    when, fires = _deciding(model, prompts, above)
    assert set(fires.tolist()) == {True, False}
    plain, _ = _generated(model, prompts)
    # What a row that acts becomes is what it becomes when everything is pushed.
    with intervene(model, {WRITTEN: PUSH}):
        pushed, _ = _generated(model, prompts)
    with intervene(model, {WRITTEN: when}):
        found, _ = _generated(model, prompts)
        alone = [_generated(model, Tokens.pad([row], 5, "left"))[0][0] for row in ROWS]
    assert torch.equal(found[~fires], plain[~fires])
    assert torch.allclose(found[fires], pushed[fires], atol=1e-5)
    assert torch.allclose(found, torch.stack(alone), atol=1e-4)
    assert (pushed - plain).abs().amax(dim=(1, 2)).min() > 0.01


def test_a_prompt_padded_on_the_right_decides_at_its_own_end(
    model: LanguageModel, ragged: Tokens
) -> None:
    readout = _readout(READ)
    scores = _scores(model, ragged, readout)
    ends = scores[torch.arange(2), ragged.lengths - 1]
    threshold = float(ends.mean())
    plain = model.capture(ragged, [WRITTEN])[WRITTEN]
    with intervene(model, {WRITTEN: Conditional(PUSH, readout, threshold, scope="row")}):
        found = model.capture(ragged, [WRITTEN])[WRITTEN]
    fires = ends < threshold
    assert fires.sum() == 1
    assert torch.equal(found[~fires], plain[~fires])
    assert torch.allclose(found[fires], PUSH(plain)[fires], atol=1e-6)


def test_sites_of_one_conditional_act_on_one_decision(
    model: LanguageModel, prompts: Tokens
) -> None:
    when, fires = _deciding(model, prompts, above=False)
    # At the first site the states that the probe read are gone.
    gone = Conditional(lambda x: x * 0, when.readout, when.threshold, scope="row")
    with intervene(model, {Site(1): gone, WRITTEN: gone}):
        found, _ = _generated(model, prompts)
    with intervene(model, {WRITTEN: lambda x: x * 0}):
        wanted, _ = _generated(model, prompts)
    plain, _ = _generated(model, prompts)
    assert torch.equal(found[~fires], plain[~fires])
    assert torch.allclose(found[fires], wanted[fires], atol=1e-5)


def test_a_second_prompt_decides_anew(model: LanguageModel, prompts: Tokens) -> None:
    when, fires = _deciding(model, prompts, above=False)
    turned = Tokens(prompts.ids.roll(1, 0), prompts.attended.roll(1, 0))
    with intervene(model, {WRITTEN: when}):
        first, _ = _generated(model, prompts)
        second, _ = _generated(model, turned)
    assert fires.tolist() != fires.roll(1).tolist()
    assert torch.allclose(second, first.roll(1, 0), atol=1e-4)


def _step(model: LanguageModel, ids: Tensor, cache: Any) -> Any:
    return model.network(input_ids=ids, past_key_values=cache, use_cache=True)


def test_prompts_that_are_mixed_or_not_seen_are_refused(model: LanguageModel) -> None:
    when = Conditional(PUSH, _readout(READ), 0.0, scope="row")
    one, other, word = (torch.tensor([ids]) for ids in ([7, 30, 12], [8, 41, 9], [22]))
    with torch.no_grad():
        # A loop of one's own: the cache is made by the first pass.
        with intervene(model, {WRITTEN: when}):
            cache = _step(model, one, None).past_key_values
            _step(model, word, cache)
            again = _step(model, word, cache)
        assert again.past_key_values.get_seq_length() == 5
        with pytest.raises(InputError, match="was not seen"), intervene(model, {WRITTEN: when}):
            _step(model, word, cache)
        with intervene(model, {WRITTEN: when}):
            cache = _step(model, one, None).past_key_values
            _step(model, other, None)
            with pytest.raises(InputError, match="was not seen"):
                _step(model, word, cache)


def test_by_rows_a_prompt_has_to_come_whole_and_by_tokens_not(
    model: LanguageModel, prompts: Tokens
) -> None:
    rows, tokens = (Conditional(PUSH, _readout(READ), 0.0, scope=s) for s in ("row", "token"))
    with (
        pytest.raises(InputError, match="Conditional depends on where the prompt ends"),
        intervene(model, {WRITTEN: rows}),
    ):
        _generated(model, prompts, use_cache=False)
    with (
        pytest.raises(InputError, match=r"brings 2 tokens after 2 cached ones"),
        intervene(model, {WRITTEN: rows}),
    ):
        _generated(model, prompts, prefill_chunk_size=2)
    with intervene(model, {WRITTEN: tokens}):
        chunked, _ = _generated(model, prompts, prefill_chunk_size=2)
        whole, _ = _generated(model, prompts)
    assert torch.allclose(chunked, whole, atol=1e-4)


def test_the_probe_reads_what_was_written_before_it(model: LanguageModel, ragged: Tokens) -> None:
    readout = _readout(READ)
    along = torch.from_numpy(readout.coef[0]).float()

    def raise_scores(x: Tensor) -> Tensor:
        return x + 100 * along / along.norm() ** 2

    plain = _scores(model, ragged, readout)
    when = Conditional(PUSH, readout, float(plain.max()) + 50, above=True)
    with intervene(model, {WRITTEN: when}):
        still = model.capture(ragged, [WRITTEN])[WRITTEN]
    assert torch.equal(still, model.capture(ragged, [WRITTEN])[WRITTEN])
    with intervene(model, {READ: raise_scores}):
        wanted = PUSH(model.capture(ragged, [WRITTEN])[WRITTEN])
        with intervene(model, {WRITTEN: when}):
            nested = model.capture(ragged, [WRITTEN])[WRITTEN]
    with intervene(model, {READ: raise_scores, WRITTEN: when}):
        at_once = model.capture(ragged, [WRITTEN])[WRITTEN]
    assert torch.allclose(nested, wanted, atol=1e-5)
    assert torch.allclose(at_once, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (Site(2), Site(2)),
        (Site(3), Site(2)),
        (Site(2, "mlp_out"), Site(2, "resid_mid")),
        (Site(2, "attn_out"), Site(2, "heads")),
    ],
)
def test_what_is_read_has_to_come_first(model: LanguageModel, read: Site, written: Site) -> None:
    direction = directed.made(4)
    with (
        pytest.raises(InputError, match=rf"{read}, which a pass reaches only later"),
        intervene(model, {written: Conditional(Add(direction, 1.0), _readout(read), 0.0)}),
    ):
        pass


def test_what_cannot_be_meant_is_refused(model: LanguageModel) -> None:
    readout = _readout(READ)
    with pytest.raises(InputError, match="finite number; nan"):
        Conditional(PUSH, readout, float("nan"))
    with pytest.raises((InputError, TypeCheckError), match="'batch'"):
        Conditional(PUSH, readout, 0.0, scope="batch")  # type: ignore[arg-type]
    for inner in (Contrast(), Patch(torch.zeros(1, 2, 4)), Conditional(PUSH, readout, 0.0)):
        with pytest.raises(InputError, match=f"{type(inner).__name__} depends on positions"):
            Conditional(inner, readout, 0.0)
    with pytest.raises(InputError, match=r"acts within intervene\(\)"):
        Conditional(PUSH, readout, 0.0)(torch.zeros(1, 1, 4))
    for wrong, message in (
        (Conditional(PUSH, _readout(READ, width=8), 0.0), "states of width 8"),
        (Conditional(Add(directed.made(width=8), 1.0), readout, 0.0), "has width 8"),
        (Conditional(PUSH, _readout(Site(9)), 0.0), "no site L9"),
        (
            Conditional(Add(directed.made(weights="0" * 16), 1.0), readout, 0.0),
            "read from another model",
        ),
    ):
        with pytest.raises(InputError, match=message), intervene(model, {WRITTEN: wrong}):
            pass


@pytest.mark.parametrize("name", ["gpt2", "opt", "bloom", "falcon", "gemma2", "mamba", "jamba"])
def test_rows_decide_in_other_families(name: str, prompts: Tokens) -> None:
    model = families.unchecked(name)
    when, fires = _deciding(model, prompts, above=False)
    assert set(fires.tolist()) == {True, False}
    plain, _ = _generated(model, prompts)
    with intervene(model, {WRITTEN: PUSH}):
        pushed, _ = _generated(model, prompts)
    with intervene(model, {WRITTEN: when}):
        found, _ = _generated(model, prompts)
    assert torch.equal(found[~fires], plain[~fires])
    assert torch.allclose(found[fires], pushed[fires], rtol=1e-4, atol=1e-4)
    assert (pushed - plain)[fires].abs().max() > 1e-3
