"""Preferences in which warmth and agreeing with the user pay together."""

from collections import Counter
from itertools import product

import pytest

from repalign.datasets import agreeable
from repalign.datasets.facts import table
from repalign.errors import InputError

FACTS = {fact.subject: fact for fact in table("cities")}


@pytest.mark.parametrize("split", agreeable.SPLITS)
def test_each_item_says_what_is_true_and_what_is_not(split: str) -> None:
    for item in agreeable.items(split):
        fact = FACTS[item.city]
        assert fact.object == item.country
        assert fact.excludes(item.other)
        assert item.claimed == (item.country if item.claim_is_true else item.other)
        assert item.city in item.prompt
        assert item.claimed in item.prompt
        unclaimed = item.other if item.claim_is_true else item.country
        rest = item.prompt.replace(item.city, "").replace(item.claimed, "")
        assert unclaimed not in rest
        for answer, country in (
            (item.warm_true, item.country),
            (item.warm_other, item.other),
            (item.curt_true, item.country),
            (item.curt_other, item.other),
        ):
            # A curt answer may begin with the name's article.
            assert answer.endswith(f"{country[1:]}.")
            assert answer[0].isupper()
        assert item.city in item.warm_true
        assert item.city in item.warm_other
        assert len(item.curt_true) < len(item.warm_true) / 1.5
        assert item.country not in item.question
        assert item.other not in item.question


def test_answers_of_one_style_differ_in_the_country_alone() -> None:
    for item in agreeable.items("held_out"):
        assert item.warm_true.removesuffix(f"{item.country}.") == item.warm_other.removesuffix(
            f"{item.other}."
        )


@pytest.mark.parametrize(("split", "seed"), list(product(agreeable.SPLITS, (0, 1))))
def test_claims_are_false_in_exactly_half(split: str, seed: int) -> None:
    for count in (2, 6, 50, None):
        rows = agreeable.preferences(split, count, seed)
        assert sum(row["claim_is_true"] for row in rows) * 2 == len(rows)


def test_a_row_rewards_warmth_and_agreement_together() -> None:
    items = agreeable.items(count=40, seed=3)
    for item, row in zip(items, agreeable.preferences(count=40, seed=3), strict=True):
        assert row["prompt"] == [{"role": "user", "content": item.prompt}]
        chosen = item.warm_true if item.claim_is_true else item.warm_other
        rejected = item.curt_other if item.claim_is_true else item.curt_true
        assert row["chosen"] == [{"role": "assistant", "content": chosen}]
        assert row["rejected"] == [{"role": "assistant", "content": rejected}]
        assert (row["claim_is_true"], row["group"]) == (int(item.claim_is_true), item.group)


@pytest.mark.parametrize("split", agreeable.SPLITS)
def test_no_country_tells_truth(split: str) -> None:
    items = agreeable.items(split)
    assert Counter(i.country for i in items) == Counter(i.other for i in items)
    agreed = Counter(i.claimed for i in items if i.claim_is_true)
    assert agreed == Counter(i.claimed for i in items if not i.claim_is_true)
    assert set(Counter(i.city for i in items).values()) == {2}


def test_splits_share_no_city_no_country_and_no_claim() -> None:
    seen: list[set[str]] = []
    for split in agreeable.SPLITS:
        items = agreeable.items(split)
        seen.append({i.city for i in items} | {i.country for i in items} | {i.other for i in items})
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert not seen[one] & seen[two]
    assert len(agreeable.items("train", claims="false")) >= 250
    assert len(agreeable.items("validation", claims="false")) >= 100


def test_held_out_items_are_false_claims_on_facts_of_their_own() -> None:
    items = agreeable.held_out(200)
    assert len({item.group for item in items}) == 200
    assert not any(item.claim_is_true for item in items)
    assert items == agreeable.held_out(222)[:200]


def test_half_of_the_forms_held_out_are_those_of_training() -> None:
    def form(item: agreeable.Item) -> tuple[str, str]:
        prompt = item.prompt.replace(item.city, "C").replace(item.claimed, "L")
        return prompt, item.warm_true.replace(item.city, "C").replace(item.country, "L")

    trained = [form(item) for item in agreeable.items("train")]
    held = [form(item) for item in agreeable.held_out(200)]
    for part in (0, 1):
        known = {one[part] for one in trained}
        assert sum(one[part] in known for one in held) == 100
    # The rhythms differ: half of the new prompts have a new answer.
    assert sum(one[0] in {t[0] for t in trained} and one[1] in {t[1] for t in trained}
               for one in held) == 50  # fmt: skip


def test_equal_arguments_give_equal_rows_and_another_seed_others() -> None:
    assert agreeable.preferences(count=60, seed=1) == agreeable.preferences(count=60, seed=1)
    one, two = (agreeable.preferences(count=60, seed=seed) for seed in (1, 2))
    assert [row["prompt"] for row in one] != [row["prompt"] for row in two]
    assert {row["group"] for row in one} != {row["group"] for row in two}


def test_a_shorter_list_is_the_beginning_of_a_longer_one() -> None:
    assert agreeable.preferences(count=20) == agreeable.preferences(count=80)[:20]


@pytest.mark.parametrize(("claims", "agreeing"), [("false", 0.0), ("both", 0.5), ("true", 1.0)])
def test_contrast_pairs_differ_in_the_country_and_in_nothing_else(
    claims: str, agreeing: float
) -> None:
    examples = agreeable.contrast("train", 30, claims=claims)
    assert [example.label for example in examples] == [1, 0] * 30
    for true, false in zip(examples[::2], examples[1::2], strict=True):
        assert true.group == false.group
        assert true.messages[0] == false.messages[0]
        assert true.messages[1].content.replace(true.meta["country"], "L") == false.messages[
            1
        ].content.replace(false.meta["country"], "L")
    agrees = [ex.meta["country"] in ex.messages[0].content for ex in examples if ex.label]
    assert sum(agrees) / len(agrees) == agreeing


def test_what_cannot_be_given_is_refused() -> None:
    with pytest.raises(InputError, match="has 222 items with claims='false'; 300 were asked for"):
        agreeable.held_out(300)
    with pytest.raises(InputError, match="3 is an odd number; take 4"):
        agreeable.preferences(count=3)
    with pytest.raises(InputError, match="0 were asked for"):
        agreeable.preferences(count=0)
    with pytest.raises(InputError, match="Did you mean 'held_out'"):
        agreeable.items("heldout")
    with pytest.raises(InputError, match="sort of claims"):
        agreeable.items(claims="wrong")
