"""Conflict: equal sets agree in everything, opposite losses in nothing but their weights."""

import json
from typing import Any

import matplotlib.colors
import numpy as np
import pytest
import torch
import toy as toys

from repalign import checks
from repalign.attribution import REFUSALS, calibration, conflict, matrices
from repalign.attribution.blocks import from_left_out, in_blocks
from repalign.attribution.counting import count
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.reports import attribution as draw
from repalign.reports.drawing import HIGH, LOW


@pytest.fixture(scope="module")
def found() -> Any:
    """Two sets of sixteen chats in all matrices of two layers."""
    model = toys.model()
    model.checked = checks.Report(())
    sets = {
        name: [
            Example.of_chat(
                f"the {toys.NOUNS[number % 10]}{' sea' * (number // 10)}",
                f"{words[number % 2]} and {toys.NOUNS[(number + shift) % 10]}",
                group=f"{name}{number}",
            )
            for number in range(16)
        ]
        for name, words, shift in (("honest", toys.TRUE, 0), ("harmless", ("bird", "leaf"), 4))
    }
    among = [matrix for matrix in matrices(model) if matrix.layer > 1]
    return conflict(model, sets, among=among, memory=1_000_000)


def test_equal_sets_agree_in_everything(
    model: LanguageModel, honest: list[Example], other: list[Example]
) -> None:
    among = matrices(model)[-3:]
    sets = {"one": honest, "same": list(honest), "other": other}
    got = conflict(model, sets, among=among, blocks=4)
    same = got.overall("one", "same")
    for measured in (same.cosine, same.jaccard, same.signs):
        assert measured is not None
        assert (measured.low, measured.high) == pytest.approx((1, 1), abs=1e-6)
    assert same.cosine_gap is not None
    assert same.cosine_gap.value == pytest.approx(0, abs=1e-6)
    assert same.jaccard_gap is not None
    assert same.jaccard_gap.value == 0
    different = got.overall("one", "other")
    assert different.jaccard is not None
    assert different.jaccard.value < 0.9


def test_opposite_losses_have_cosine_minus_one() -> None:
    """With two tokens to choose from, what makes one likelier makes the other less likely."""
    model = toys.model()
    model.checked = checks.Report(())
    pair = model.tokenizer.convert_tokens_to_ids(["moon", "bird"])

    def only_two(_module: Any, _args: Any, logits: torch.Tensor) -> torch.Tensor:
        closed = torch.full_like(logits, -1e4)
        closed[..., pair] = logits[..., pair]
        return closed

    model.network.lm_head.register_forward_hook(only_two)
    sets = {
        word: [Example.of_chat("the sea", word, group=f"{word}{n}") for n in range(4)]
        for word in ("moon", "bird")
    }
    got = conflict(model, sets, among=matrices(model)[-4:], blocks=4).overall("moon", "bird")
    assert got.cosine is not None
    assert got.cosine.value == pytest.approx(-1, abs=1e-5)
    assert got.signs is not None
    assert got.signs.value == 0
    assert got.jaccard is not None
    assert got.jaccard.value > 0.99, "an absolute value cannot tell opposite from equal"


def test_measures_are_those_of_the_summed_gradients(found: Any) -> None:
    """Overall is one long vector: inner products and overlaps add up over matrices."""
    whole = found.overall("honest", "harmless")
    gram = np.sum([counts.gram.sum(axis=(1, 3)) for counts in found.counts], axis=0)
    assert whole.cosine.value == pytest.approx(gram[0, 1] / np.sqrt(gram[0, 0] * gram[1, 1]))
    both = np.sum([counts.whole[0, 0] for counts in found.counts], axis=0)
    assert whole.jaccard.value == pytest.approx(both[0] / both[1])
    for by, places in (("kind", 7), ("layer", 2), ("matrix", 14)):
        assert len(found.table("honest", "harmless", by)) == places


def test_memory_and_batches_change_nothing(
    model: LanguageModel, honest: list[Example], other: list[Example]
) -> None:
    sets = {"a": honest, "b": other}
    plain = conflict(model, sets, among=matrices(model)[-4:], blocks=4)
    narrow = conflict(model, sets, among=matrices(model)[-4:], blocks=4, memory=1, max_tokens=40)
    assert tuple(one.origin["groups_of_matrices"] for one in (plain, narrow)) == (1, 4)
    for one, another in zip(plain.counts, narrow.counts, strict=True):
        np.testing.assert_allclose(one.gram, another.gram, rtol=1e-3, atol=1e-6)
        assert np.abs(one.whole - another.whole).max() <= 2, "rounding may swap neighbours"


def test_wanda_ranks_by_what_enters(
    model: LanguageModel, honest: list[Example], other: list[Example]
) -> None:
    among = matrices(model)[-2:]
    sets = {"a": honest, "b": other}
    snip = conflict(model, sets, among=among, blocks=4).overall("a", "b")
    wanda = conflict(model, sets, among=among, blocks=4, method="wanda").overall("a", "b")
    assert wanda.cosine == snip.cosine
    assert wanda.jaccard != snip.jaccard


def _counts(signed: torch.Tensor, weight: torch.Tensor) -> Any:
    generator = torch.Generator().manual_seed(0)
    return count(signed, signed.abs(), lambda sums: sums * weight, 0.1, generator)


def test_unrelated_tops_overlap_by_chance_and_the_floor_knows_the_weights() -> None:
    """Independent scores overlap by q / (2 − q); a common |W| lifts overlap and floor alike."""
    generator = torch.Generator().manual_seed(3)
    signed = torch.randn(2, 4, 200, 200, generator=generator)
    flat = _counts(signed, torch.ones(200, 200))
    chance = 0.1 / 1.9
    assert flat.whole[0, 0, 0] / flat.whole[0, 0, 1] == pytest.approx(chance, abs=0.01)
    weight = torch.randn(200, 200, generator=generator).exp()
    sized = _counts(signed, weight)
    overlap, floor = (part[0] for part in (sized.whole[0], sized.floor[0]))
    assert overlap[0] / overlap[1] > 3 * chance
    assert floor[0] / floor[1] == pytest.approx(overlap[0] / overlap[1], rel=0.05)


def test_halves_are_halves() -> None:
    """`within` is the first half of the blocks against the second, less what is left out."""
    generator = torch.Generator().manual_seed(3)
    signed = torch.randn(2, 4, 30, 20, generator=generator)
    got = _counts(signed, torch.ones(30, 20))

    def overlap(one: torch.Tensor, other: torch.Tensor) -> list[int]:
        a, b = (set(part.flatten().topk(60).indices.tolist()) for part in (one, other))
        return [len(a & b), len(a | b)]

    sums = signed.abs()[1]
    assert got.within[1, 0].tolist() == overlap(sums[0] + sums[1], sums[2] + sums[3])
    assert got.within[1, 1].tolist() == overlap(sums[1], sums[2] + sums[3])
    assert got.within[1, 4].tolist() == overlap(sums[0] + sums[1], sums[2])
    first = signed.abs()[0]
    crossed = np.add(
        overlap(first[0] + first[1], sums[2] + sums[3]),
        overlap(first[2] + first[3], sums[0] + sums[1]),
    )
    assert got.across[0, 0].tolist() == crossed.tolist()


def test_intervals_cover_at_their_level() -> None:
    """The mean of 32 normal numbers in 8 blocks: the interval holds the truth in 95 of 100."""
    drawn = np.random.default_rng(0).normal(size=(1000, 8, 4)).mean(axis=2)
    held = 0
    for blocks in drawn:
        left = (blocks.sum() - blocks) / 7
        one = from_left_out(np.array([blocks.mean(), *left]), 32, (-9.0, 9.0))
        assert one is not None
        held += one.low <= 0 <= one.high
    assert 0.93 <= held / 1000 <= 0.97
    assert from_left_out(np.array([0.5, np.nan]), 3, (0.0, 1.0)) is None


def test_groups_stay_together_and_common_ones_leave_together() -> None:
    first = [f"g{number // 2}" for number in range(20)]
    second = first[::-1] + [f"h{number}" for number in range(6)]
    one, other = in_blocks([first, second], ["a", "b"], 4, 0)
    block = dict(zip(first, one.tolist(), strict=True))
    assert len(set(zip(first, one.tolist(), strict=True))) == 10
    assert all(block[g] == at for g, at in zip(second, other.tolist(), strict=True) if g in block)
    sizes = [len({g for g, at in block.items() if at == number}) for number in range(4)]
    assert max(sizes) - min(sizes) <= 1


def test_bad_requests_are_refused(model: LanguageModel, honest: list[Example]) -> None:
    with pytest.raises(InputError, match="two sets at least"):
        conflict(model, {"one": honest})
    with pytest.raises(InputError, match="'few' has 3 groups"):
        conflict(model, {"one": honest, "few": honest[:3]})
    with pytest.raises(InputError, match="even and at least 4"):
        conflict(model, {"one": honest, "two": honest}, blocks=3)
    with pytest.raises(InputError, match="Did you mean 'wanda'"):
        conflict(model, {"one": honest, "two": honest}, method="wand")
    with pytest.raises(InputError, match="between 0 and 1"):
        conflict(model, {"one": honest, "two": honest}, q=1.0)
    with pytest.raises(InputError, match="'mute' is empty"):
        conflict(model, {"one": honest, "mute": []})


def test_unknown_names_are_refused(found: Any) -> None:
    with pytest.raises(InputError, match="Did you mean 'harmless'"):
        found.overall("honest", "harmles")
    with pytest.raises(InputError, match="no pair 'harmless', 'honest'"):
        found.overall("harmless", "honest")
    with pytest.raises(InputError, match="There is no table"):
        found.table("honest", "harmless", "stream")


def test_calibration_sets_are_what_they_say() -> None:
    sets = calibration(24, seed=1)
    assert [len(rows) for rows in sets.values()] == [24, 24, 24]
    assert all(one.label == 1 for one in sets["honest"])
    assert len({one.topic for one in sets["honest"]}) == 6
    for name, rows in sets.items():
        assert len({one.group for one in rows}) == (16 if name == "harmless" else 24)
        assert len({one.messages[-2].content for one in rows}) == 24
        assert all(one.messages[-1].role == "assistant" for one in rows)
    assert {one.messages[-1].content for one in sets["harmless"]} == set(REFUSALS)
    assert calibration(24, seed=1) == sets
    with pytest.raises(InputError, match="16 to 50"):
        calibration(51)


def test_record_and_figures_hold_the_numbers(found: Any) -> None:
    record = json.loads(json.dumps(found.to_json()))
    pair = record["pairs"][0]
    assert "ceiling" in str(found)
    drawn: Any = draw.gradient_cosines(record).axes[0]
    cells = drawn.patches
    assert len(cells) == len(pair["by_matrix"]) == 14
    most = max(abs(one["cosine"]["value"]) for one in pair["by_matrix"].values())
    for one, place in zip(record["matrices"], cells, strict=True):
        value = pair["by_matrix"][one["place"]]["cosine"]["value"]
        assert place.get_alpha() == pytest.approx(abs(value) / most)
        assert matplotlib.colors.to_hex(place.get_facecolor()) == (HIGH if value >= 0 else LOW)
        assert place.get_x() == one["layer"] - 2
    cosines = [one["cosine"] for one in pair["by_matrix"].values()]
    assert len(drawn.lines) == sum(one["low"] > 0 or one["high"] < 0 for one in cosines)
    lines: Any = draw.top_overlap(record).axes[0]
    by_layer = [pair["by_layer"][name] for name in ("L2", "L3")]
    wanted = [[one["jaccard_across"]["value"] for one in by_layer]]
    wanted += [[one["jaccard_within"][at]["value"] for one in by_layer] for at in (0, 1)]
    wanted += [[one["jaccard_floor"]["value"] for one in by_layer]]
    for line, values in zip(lines.lines, wanted, strict=False):
        assert line.get_ydata().tolist() == values
    with pytest.raises(InputError, match="no `pairs`"):
        draw.top_overlap({})
