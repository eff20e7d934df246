"""Weight sets and their removal: what one task has to itself is found, and hurts it alone."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import families
import pytest
import torch
import toy as toys

from repalign import checks
from repalign.attribution import (
    effects,
    exclusive,
    low_rank,
    matrices,
    projected_out,
    random_like,
    random_removals,
    response_loss,
    selected,
    top,
    zeroed,
)
from repalign.attribution.texts import texts_of
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.tokens import Tokens

ROW = 5


def _bits(model: LanguageModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.network.named_parameters()}


def _same_bits(model: LanguageModel, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(p, before[name]) for name, p in model.network.named_parameters())


def _keep(kept: list[torch.Tensor], response: list[int], _module: Any, args: Any) -> None:
    kept.append(args[0][0, response])


def _replies(reply: str) -> list[Example]:
    return [
        Example.of_chat(f"the {noun} and the {toys.NOUNS[number - 3]}", reply, group=noun)
        for number, noun in enumerate(toys.NOUNS)
    ]


@pytest.fixture(scope="module")
def planted() -> LanguageModel:
    """A toy with a neuron in its last MLP that fires after `true` only, and then says `moon`."""
    made = toys.model()
    mlp = made.network.model.layers[-1].mlp
    words = made.tokenizer.convert_tokens_to_ids("▁moon")
    with torch.no_grad():
        for projection in (mlp.gate_proj, mlp.up_proj):
            projection.weight[ROW] = 3 * toys.direction()
        said = made.network.lm_head.weight[words]
        mlp.down_proj.weight[:, ROW] = 2 * said / said.norm()
    made.checked = checks.Report(())
    return made


SERVED, OTHERS = _replies("true moon"), _replies("bird lamp")


def test_top_is_ranked_over_the_flattened_matrix() -> None:
    scores = torch.tensor([[5.0, 4.0, 3.0], [0.1, 0.2, 0.3]])
    assert top(scores, 0.5).tolist() == [[True, True, True], [False, False, False]]


def test_ties_and_zeros_do_not_swell_the_top() -> None:
    assert top(torch.ones(10), 0.3).tolist() == [True] * 3 + [False] * 7
    assert top(torch.tensor([0.0, 2.0, 0.0, 0.0]), 0.75).tolist() == [False, True, False, False]
    assert int(top(torch.arange(100.0), 0.29).sum()) == 29, "0.29 · 100, whatever binary says"


def test_top_refuses_what_cannot_be_ranked() -> None:
    with pytest.raises(InputError, match="above 0 and at most 1"):
        top(torch.ones(3), 0.0)
    with pytest.raises(InputError, match="not finite"):
        top(torch.tensor([1.0, torch.nan, 3.0]), 0.5)
    with pytest.raises(InputError, match="not finite"):
        top(torch.tensor([1.0, torch.inf, 3.0]), 0.5)


def test_selected_is_the_top_of_each_matrix() -> None:
    matrix = matrices(families.unchecked("llama"))[0]
    scores = torch.arange(float(matrix.size)).reshape(matrix.shape)
    kept = selected([(matrix, scores)], 0.01)[matrix.name]
    assert kept.tolist() == list(range(matrix.size - matrix.size // 100, matrix.size))


def test_a_row_that_serves_one_task_is_found_and_hurts_it_alone(planted: LanguageModel) -> None:
    up = next(m for m in matrices(planted) if str(m) == "L3.mlp.up_proj")
    found = exclusive(planted, SERVED, OTHERS, q=1 / 48, p=0.2, among=[up])
    rows = found[up.name] // toys.WIDTH
    assert (rows == ROW).float().mean() > 0.8
    before = _bits(planted)
    hurt = effects(
        planted,
        {"served": SERVED, "others": OTHERS},
        lambda: zeroed(planted, found),
        lambda: zeroed(planted, random_like(planted, found)),
    )
    assert _same_bits(planted, before)
    served, others = hurt["served"], hurt["others"]
    assert served.gain.low > 0.5
    assert abs(others.gain.value) < 0.05
    assert served.control is not None
    assert abs(served.control.value) < 0.1
    assert served.beyond is not None
    assert served.beyond.value == pytest.approx(served.gain.value - served.control.value)
    assert served.beyond.n == len(toys.NOUNS)


def test_effects_resample_groups(planted: LanguageModel) -> None:
    """Ten examples of two groups are two things to resample, not ten."""
    rows = [Example(one.messages, None, f"g{at % 2}") for at, one in enumerate(SERVED)]
    (found,) = effects(planted, {"served": rows}, nullcontext).values()
    assert (found.before.n, found.gain.n) == (2, 2)
    assert (found.gain.value, found.control, found.beyond) == (0, None, None)


def test_what_the_other_task_needs_is_spared(planted: LanguageModel) -> None:
    """Two equal sets leave nothing, and a wide p leaves less than a narrow one."""
    last = matrices(planted)[-7:]
    assert exclusive(planted, SERVED, SERVED, q=0.1, p=0.1, among=last) == {}
    narrow = exclusive(planted, SERVED, OTHERS, q=0.1, p=0.01, among=last)
    wide = exclusive(planted, SERVED, OTHERS, q=0.1, p=0.5, among=last, method="snip")
    assert sum(map(len, wide.values())) < sum(map(len, narrow.values()))


def test_the_control_is_as_large_and_another(planted: LanguageModel) -> None:
    name = matrices(planted)[3].name
    drawn = random_like(planted, {name: torch.arange(20)}, seed=1)[name]
    assert len(drawn.unique()) == 20
    assert drawn.tolist() == sorted(drawn.tolist())
    assert not torch.equal(drawn, random_like(planted, {name: torch.arange(20)}, seed=2)[name])


def test_response_loss_is_the_formula(planted: LanguageModel) -> None:
    found = response_loss(planted, SERVED[:3], max_tokens=1)
    for value, text in zip(found, texts_of(planted, SERVED[:3], "answer"), strict=True):
        logits = planted.logits(Tokens.pad([text.ids], 0))[0].double().log_softmax(-1)
        said = [float(logits[place - 1, text.ids[place]]) for place in text.response]
        assert value == pytest.approx(-sum(said) / len(said), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zeroed_restores_every_bit_also_after_an_error(dtype: torch.dtype) -> None:
    model = toys.model()
    model.network.to(dtype)
    before = _bits(model)
    sets = {m.name: torch.arange(0, m.size, 7) for m in matrices(model)}

    def fails() -> None:
        with zeroed(model, sets):
            for name, places in sets.items():
                flat = model.network.get_parameter(name).detach().view(-1)
                assert not flat[places].any()
                untouched = torch.ones(len(flat), dtype=torch.bool)
                untouched[places] = False
                assert torch.equal(flat[untouched], before[name].view(-1)[untouched])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fails()
    assert _same_bits(model, before)


def test_sets_of_another_model_are_refused(planted: LanguageModel) -> None:
    name = matrices(planted)[0].name
    with (
        pytest.raises(InputError, match="no parameter 'elsewhere'"),
        zeroed(planted, {"elsewhere": torch.tensor([0])}),
    ):
        pass
    with (
        pytest.raises(InputError, match="outside of its 1024"),
        zeroed(planted, {name: torch.tensor([1024])}),
    ):
        pass


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_rank_removal_is_its_definition(family: str, honest: Sequence[Example]) -> None:
    """`ΔW = (I − Π_others) Π_wanted W`, worked out by an SVD of `W X` itself."""
    model = families.unchecked(family)
    matrix = next(m for m in matrices(model) if m.layer == 1)
    sets = (honest[:4], honest[4:])
    ((name, removal),) = low_rank(model, *sets, rank=3, keep_rank=2, among=[matrix]).items()
    weight = matrix.weight(model).detach().double()
    weight = weight.T if matrix.transposed else weight
    projections = []
    for rows, rank in zip(sets, (3, 2), strict=True):
        entered: list[torch.Tensor] = []
        for text in texts_of(model, rows, "answer"):
            handle = matrix.module(model).register_forward_pre_hook(
                partial(_keep, entered, text.response)
            )
            model.logits(Tokens.pad([text.ids], 0))
            handle.remove()
        outputs = weight @ torch.cat(entered).double().T
        leading = torch.linalg.svd(outputs).U[:, :rank]
        projections.append(leading @ leading.T)
    change = (torch.eye(len(weight)) - projections[1]) @ projections[0] @ weight
    before = _bits(model)
    with projected_out(model, {name: removal}):
        now = matrix.weight(model).detach().double()
        now = now.T if matrix.transposed else now
        torch.testing.assert_close(now, weight - change, rtol=1e-4, atol=1e-5)
        assert torch.linalg.matrix_rank(now - weight, tol=1e-4) <= 3
    assert _same_bits(model, before)


def test_rank_removal_hurts_the_task_whose_outputs_are_removed(planted: LanguageModel) -> None:
    down = next(m for m in matrices(planted) if str(m) == "L3.mlp.down_proj")
    found = low_rank(planted, SERVED, OTHERS, rank=1, keep_rank=8, among=[down])
    control = random_removals(found)
    kept = control[down.name]
    torch.testing.assert_close(kept.removed.T @ kept.removed, torch.eye(1, dtype=torch.float64))
    assert torch.equal(kept.kept, found[down.name].kept)
    hurt = effects(
        planted,
        {"served": SERVED, "others": OTHERS},
        partial(projected_out, planted, found),
        partial(projected_out, planted, control),
    )
    assert hurt["served"].gain.low > 0.5
    assert abs(hurt["others"].gain.value) < 0.2
    assert hurt["served"].beyond is not None
    assert hurt["served"].beyond.low > 0.3


def test_ranks_out_of_reach_are_refused(planted: LanguageModel) -> None:
    with pytest.raises(InputError, match="A rank is 1 to 16"):
        low_rank(planted, SERVED, OTHERS, rank=17, keep_rank=0)
