"""True claims are true and false ones false, checked apart from the code that drew them."""

import csv
import re
from pathlib import Path

import pytest

from repalign import datasets
from repalign.datasets.builtin import BUILTIN
from repalign.datasets.facts import Fact, table
from repalign.datasets.pairs import Claim, Pair, exchange
from repalign.datasets.quantities import words
from repalign.errors import InputError

NUMBERS = {words(number): number for number in range(1000)}
TABLES = ("cities", "capitals", "currencies", "spanish")


def rows(name: str) -> list[dict[str, str]]:
    text = (Path(datasets.__file__).parent / "facts" / f"{name}.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize("name", TABLES)
def test_claims_agree_with_the_table(name: str) -> None:
    truth = {row["subject"]: row for row in rows(name)}
    for example in BUILTIN[name].build():
        row = truth[example.meta["subject"]]
        assert example.meta["correct"] == row["object"]
        assert (example.meta["object"] == row["object"]) == (example.label == 1)
        assert example.meta["object"] not in (row.get("avoid") or "").split("|")
        words_kept = (example.meta["subject"], example.meta["object"])
        assert all(word in example.text for word in words_kept)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_each_subject_once(name: str) -> None:
    subjects = [row["subject"] for row in rows(name)]
    assert len(set(subjects)) == len(subjects)


def test_cities_and_currencies_share_no_city() -> None:
    cities = {row["subject"] for row in rows("cities")}
    assert not cities & {row["subject"] for row in rows("currencies")}


def test_facts_that_anyone_can_check() -> None:
    for name, subject, correct in [
        ("cities", "Alexandria", "Egypt"),
        ("cities", "Ushuaia", "Argentina"),
        ("capitals", "Canberra", "Australia"),
        ("capitals", "Astana", "Kazakhstan"),
        ("capitals", "Sacramento", "California"),
        ("currencies", "Japan", "yen"),
        ("currencies", "Croatia", "euro"),
        ("currencies", "Kazan", "ruble"),
        ("spanish", "perro", "dog"),
        ("spanish", "reír", "to laugh"),
    ]:
        assert {row["subject"]: row["object"] for row in rows(name)}[subject] == correct


def test_no_word_is_spanish_for_two_and_no_two_for_one() -> None:
    assert len({row["object"] for row in rows("spanish")}) == len(rows("spanish")) >= 260


@pytest.mark.parametrize("variant", ["", "_negated"])
def test_comparisons_hold_when_computed_from_the_text(variant: str) -> None:
    for example in BUILTIN[f"numbers{variant}"].build():
        match = re.fullmatch(
            r"The number (.+) is (not )?(larger|smaller) than (.+)\.", example.text
        )
        assert match
        one, other = NUMBERS[match[1]], NUMBERS[match[4]]
        holds = one > other if match[3] == "larger" else one < other
        assert example.label == int(holds != bool(match[2]))
        assert 10 <= abs(one - other) <= 25


def test_both_claims_of_a_comparison_have_the_same_words() -> None:
    bags: dict[str, set[tuple[str, ...]]] = {}
    for example in BUILTIN["numbers"].build():
        bag = tuple(sorted(example.text.lower().rstrip(".").split()))
        bags.setdefault(example.group, set()).add(bag)
    assert all(len(bag) == 1 for bag in bags.values())
    relations = [bag for (bag,) in bags.values()]
    assert sum("larger" in bag for bag in relations) == len(relations) / 2


@pytest.mark.parametrize("variant", ["", "_negated"])
def test_sums_hold_when_computed_from_the_text(variant: str) -> None:
    for example in BUILTIN[f"arithmetic{variant}"].build():
        match = re.fullmatch(
            r"The result of (\S+) (plus|minus|times) (\S+) is (not )?(.+)\.", example.text
        )
        assert match
        one, other = NUMBERS[match[1]], NUMBERS[match[3]]
        value = {"plus": one + other, "minus": one - other, "times": one * other}[match[2]]
        slip = NUMBERS[match[5]] - value
        assert example.label == int((slip == 0) != bool(match[4]))
        assert abs(slip) in (0, 2, 4, 6, 8), "an odd slip would let parity give it away"


@pytest.mark.parametrize(
    ("number", "spelled"),
    [(0, "zero"), (13, "thirteen"), (40, "forty"), (99, "ninety-nine"), (100, "one hundred"),
     (156, "one hundred and fifty-six"), (999, "nine hundred and ninety-nine")],
)  # fmt: skip
def test_numbers_are_spelled_out(number: int, spelled: str) -> None:
    assert words(number) == spelled


@pytest.mark.parametrize("number", [-1, 1000])
def test_numbers_out_of_range_are_refused(number: int) -> None:
    with pytest.raises(InputError, match=str(number)):
        words(number)


def test_a_pair_of_two_truths_is_refused() -> None:
    true = Claim("Oslo", "Norway", "Norway")
    with pytest.raises(InputError, match="oslo"):
        Pair("oslo", true, true)


def test_exchange_keeps_to_kinds_and_avoids_what_is_not_plainly_false() -> None:
    facts = [
        Fact("big dog", "a", "noun", ("b",)),
        Fact("cat", "b", "noun"),
        Fact("bird", "c", "noun"),
        Fact("run", "d", "verb"),
        Fact("walk", "e", "verb"),
        Fact("alone", "f", "adverb"),
    ]
    pairs = exchange(facts, "any")
    kinds = {fact.subject: fact.kind for fact in facts}
    assert len(pairs) == 2, "one noun and the adverb find no partner"
    for pair in pairs:
        assert kinds[pair.true.subject] == kinds[pair.false.subject]
        assert pair.true.object == pair.false.object
        assert {pair.true.subject, pair.false.subject} != {"big dog", "cat"}


def test_tables_are_read_once() -> None:
    assert table("cities") is table("cities")
