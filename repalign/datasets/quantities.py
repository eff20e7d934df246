"""Quantities: comparisons and sums in words, whose truth is computed and not looked up."""

from collections import Counter
from itertools import combinations, permutations, product

from repalign.datasets.pairs import Claim, Pair, mixed, slug
from repalign.errors import InputError

UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
COMPARISONS = 400
USES = 11
"""How many comparisons one number takes part in, at most."""
NEAR, FAR = 10, 25
"""How far apart compared numbers are. Far enough that their tens decide, since a small model knows
little of nearer ones (AUROC 0.63 for 3 to 19, 0.73 for 10 to 25); near enough that one number by
itself says little about how it compares."""
SLIPS = (2, 4, 6, 8)
"""What a false result is off by. Never odd: or else parity alone gives an AUROC of 0.76."""


def words(number: int) -> str:
    """Spell a number from 0 to 999.

    Raises:
        InputError: the number is outside of that.

    Example:
        >>> words(342)
        'three hundred and forty-two'
    """
    if not 0 <= number < 1000:
        raise InputError(f"words spells numbers from 0 to 999, not {number}.")
    if number < 20:
        return UNITS[number]
    if number < 100:
        tens, unit = TENS[number // 10 - 2], number % 10
        return f"{tens}-{UNITS[unit]}" if unit else tens
    hundreds, rest = f"{UNITS[number // 100]} hundred", number % 100
    return f"{hundreds} and {words(rest)}" if rest else hundreds


def comparisons() -> tuple[Pair, ...]:
    """Compare two numbers both ways round, in half of the pairs by `larger`, in half by `smaller`.

    Both claims of a pair have the same words. Since the relation changes from pair to pair, the
    size of the last number alone says nothing either; together with the relation it says a little.
    """
    used: Counter[int] = Counter()
    pairs = []
    near = [two for two in combinations(range(11, 100), 2) if NEAR <= two[1] - two[0] <= FAR]
    for low, high in mixed(near, "numbers"):
        if len(pairs) == COMPARISONS or max(used[low], used[high]) == USES:
            continue
        used.update((low, high))
        larger = len(pairs) % 2 == 0
        relation, opposite = ("larger", "smaller") if larger else ("smaller", "larger")
        one, other = (words(high), words(low)) if larger else (words(low), words(high))
        pairs.append(
            Pair(
                slug(f"{words(low)} {words(high)}"),
                Claim(one, other, relation, relation),
                Claim(other, one, opposite, relation),
            )
        )
    return tuple(pairs)


def calculations() -> tuple[Pair, ...]:
    """Give two sums, differences or products one result, which is right for one of them only."""
    sums = [(a, b, a + b) for a, b in permutations(range(2, 31), 2)]
    differences = [(a, b, a - b) for a, b in product(range(8, 41), range(2, 31)) if b < a]
    products = [(a, b, a * b) for a, b in permutations(range(3, 14), 2)]
    return (
        *_same_result(sums, "plus", 150),
        *_same_result(differences, "minus", 150),
        *_same_result(products, "times", 25),
    )


def _same_result(rows: list[tuple[int, int, int]], operation: str, count: int) -> list[Pair]:
    left = _once(mixed(rows, operation))
    pairs: list[Pair] = []
    while left and len(pairs) < count:
        one, other, result = left.pop(0)
        for place, (first, second, value) in enumerate(left):
            if abs(value - result) in SLIPS:
                del left[place]
                right = f"{words(one)} {operation} {words(other)}"
                wrong = f"{words(first)} {operation} {words(second)}"
                pairs.append(
                    Pair(
                        slug(right),
                        Claim(right, words(result), words(result)),
                        Claim(wrong, words(result), words(value)),
                    )
                )
                break
    return pairs


def _once(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Keep one of "two plus nine" and "nine plus two": they are one fact."""
    seen: set[tuple[int, int, int]] = set()
    kept = []
    for row in rows:
        fact = (min(row[:2]), max(row[:2]), row[2])
        if fact not in seen:
            seen.add(fact)
            kept.append(row)
    return kept
