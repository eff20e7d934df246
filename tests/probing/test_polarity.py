"""Matched statements with a known answer: what flips, what does not, and what is not there."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from repalign.activations import Activations, collect
from repalign.errors import InputError
from repalign.examples import Example
from repalign.metrics.polarity import Polar
from repalign.models import LanguageModel
from repalign.probing.matched import Matched, matched, split, texts
from repalign.probing.polarity import polarities, polarities_of
from repalign.sites import Site

PAIRS = [Matched(f"the sea {i}", f"no sea {i}", int(i % 3 == 0), f"g{i // 2}") for i in range(120)]
SITES = (Site(0), Site(1))


def read(fill: Callable[[Matched, int, int], list[float]]) -> Activations:
    """What a model could hold of the texts: at layer 1 as `fill` says, at layer 0 noise."""
    generator = np.random.default_rng(0)
    values = 0.3 * generator.standard_normal((4 * len(PAIRS), 2, 8)).astype(np.float32)
    for place, pair in enumerate(PAIRS):
        for row in range(4):
            values[4 * place + row, 1, :3] += fill(pair, row // 2, row % 2)
    count = len(values)
    return Activations(
        values=values,
        sites=SITES,
        example=np.arange(count),
        pos=np.zeros(count, dtype=np.int64),
        labels=np.full(count, -1),
        groups=np.array([pair.group for pair in PAIRS for _ in range(4)]),
        topics=np.array([""] * count),
        polarity=np.zeros(count, dtype=np.int64),
        origin={},
    )


def held(pair: Matched, opposite: int, no: int) -> list[float]:
    """Whether the reading is right along the first axis, and which suffix and side it is."""
    right = (pair.label == 1) ^ bool(opposite) ^ bool(no)
    return [4.0 if right else -4.0, 3.0 * no, 0.5 * opposite]


def negation(pair: Matched, opposite: int, no: int) -> list[float]:
    """Whatever is true, yes to statements and no to their opposites."""
    return [4.0 if bool(opposite) == bool(no) else -4.0, 3.0 * no, 0.0]


def test_what_flips_with_the_truth_is_found_and_is_consistent() -> None:
    found = polarities_of(read(held), PAIRS)
    assert found.chosen.site == Site(1)
    assert found.chosen.separation.value > 0.98
    assert found.chosen.size is not None
    assert found.chosen.size.value < 0.1
    assert found.chosen.contradiction.value < 0.25
    noise = found.layers[0]
    assert noise.separation.value < 0.65
    nulls = found.nulls()
    assert nulls["constant: consistency"].value == 0
    assert nulls["constant: contradiction"].value == 0.5
    assert nulls["contradictory: contradiction"].value > 0.7
    assert nulls["random: separation"].value < found.chosen.separation.value


def test_what_flips_with_the_wording_alone_is_no_better_than_the_sides() -> None:
    """The probe never contradicts itself and knows nothing. Two of three statements are false."""
    found = polarities_of(read(negation), PAIRS)
    layer = found.layers[1]
    assert layer.contradiction.value < 0.25
    sides = found.nulls()["sides alone: separation"].value
    assert layer.separation.value == pytest.approx(sides)
    assert sides == pytest.approx(np.mean([PAIRS[row].label == 0 for row in found.tested]))


def test_where_pairs_do_not_separate_there_is_no_consistency() -> None:
    half = [pair._replace(label=i // 2 % 2) for i, pair in enumerate(PAIRS)]
    found = polarities_of(read(negation), half)
    assert all(layer.consistency is None for layer in found.layers if not layer.separates)
    assert not found.layers[1].separates
    assert found.layers[1].contradiction is not None


def test_groups_stay_whole_and_parts_do_not_meet() -> None:
    parts = split(PAIRS)
    rows = np.concatenate(parts)
    assert sorted(rows.tolist()) == list(range(len(PAIRS)))
    groups = [{PAIRS[row].group for row in part} for part in parts]
    assert len(set().union(*groups)) == sum(map(len, groups))
    assert [len(group) for group in groups] == [30, 12, 18]


def test_the_layer_is_not_chosen_by_what_is_reported() -> None:
    """Swap what the reported pairs say: the choice stays."""
    given = read(held)
    reported = split(PAIRS)[2]
    values = np.array(given.values)
    rows = np.concatenate([4 * reported + i for i in range(4)])
    values[rows] = np.random.default_rng(1).standard_normal(values[rows].shape)
    found = polarities_of(replace(given, values=values), PAIRS)
    assert found.chosen.site == Site(1)
    assert found.chosen.separates
    assert found.chosen.separation.value < 0.75


def test_the_four_columns_are_those_of_the_paper() -> None:
    """In the order of texts: statement and opposite, each with Yes and No behind it."""
    assert [text.text for text in texts(PAIRS[:1])] == [
        "the sea 0 Yes",
        "the sea 0 No",
        "no sea 0 Yes",
        "no sea 0 No",
    ]
    polar = polarities_of(read(held), PAIRS).chosen.polar
    tested = split(PAIRS)[2]
    true = np.array([PAIRS[row].label for row in tested]) == 1
    assert isinstance(polar, Polar)
    for name, up in (("yes", true), ("no", ~true), ("opposite_yes", ~true), ("opposite_no", true)):
        values = getattr(polar, name)
        assert values[up].min() > values[~up].max(), name


def test_a_model_is_read_at_its_last_token(toy: LanguageModel) -> None:
    pairs = [Matched(f"{noun} is", f"{noun} and", i % 2, f"g{i}") for i, noun in enumerate(WORDS)]
    site = toy.sites()[2]
    found = polarities(toy, pairs, [site])
    direct = polarities_of(collect(toy, texts(pairs), [site], "last"), pairs)
    np.testing.assert_array_equal(found.chosen.polar.yes, direct.chosen.polar.yes)
    assert len(found.tested) == len(found.chosen.groups) == 5


NOUNS = ("sea", "hill", "moon", "rain", "lamp", "door", "bird", "fish", "leaf", "coin")
WORDS = (*NOUNS, *(f"the {noun}" for noun in NOUNS[:5]))


def statement(text: str, label: int | None, group: str = "", **meta: str) -> Example:
    return Example.of_text(text, label, group, **meta)


def test_statements_are_paired_by_order_by_column_and_by_group() -> None:
    one, other = statement("a is b.", 1, "g"), statement("a is not b.", 0, "g")
    expected = [Matched("a is b.", "a is not b.", 1, "g")]
    assert matched([one], [other]) == expected
    assert matched([statement("a is b.", 1, "g", opposite="a is not b.")]) == expected
    grouped = [
        statement("a is not b.", 0, "g", polarity="negated"),
        statement("a is b.", 1, "g", polarity="affirmed"),
    ]
    assert matched(grouped) == expected


@pytest.mark.parametrize(
    ("affirmed", "negated", "said"),
    [
        ([statement("a", 1)], [statement("b", 1)], "label of their opposite"),
        ([statement("a", None)], [], "with labels"),
        ([Example.of_chat("a", "b", 1)], [], "plain texts"),
        ([statement("a", 1, "g"), statement("b", 0, "g")], [], "opposite"),
        ([], [], "plain texts"),
    ],
)
def test_what_cannot_be_paired_is_refused(affirmed: list, negated: list, said: str) -> None:
    with pytest.raises(InputError, match=said):
        matched(affirmed, negated)


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(InputError, match="12 or more"):
        split(PAIRS[:20])
