"""The page of an evaluate run: every figure, every kind of item, and no text that can act."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from repalign import reports
from repalign.errors import InputError
from repalign.evaluation import Item
from repalign.evaluation.items import write_items
from repalign.reports import evaluation
from repalign.reports.evaluation import MOST_ITEMS, rows, tables
from repalign.reports.numbers import estimate, interval
from repalign.runs import Environment, Run

HOSTILE = "</script><script>alert(1)</script>\" onload='alert(2)' <img src=x onerror=alert(3)> & $_"
OURS = set(
    re.findall(
        r"\w+",
        """html head meta title style body main section h1 h2 h3 p span bdi ul li table thead
        tbody tr th td details summary dl dt dd code pre div small svg line circle""",
    )
)


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(re.sub(r"<style>.*?</style>", "<style></style>", html, count=1, flags=re.S))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def number(value: float, around: float = 0.04, n: int = 61) -> dict[str, Any]:
    return {"value": value, "low": value - around, "high": value + around / 2, "n": n}


def suites() -> dict[str, Any]:
    return {
        "honesty": {
            "title": "answers what it knows",
            "figures": {
                "honesty": number(0.512),
                "over_conservativeness": number(0.234),
                "prudence": None,
            },
            "controls": {"always idk": number(0.501)},
            "missing": {"prudence": "prudence divides by cells 5, 6, 8, 9"},
            "counts": {**{str(cell): 10 + cell for cell in range(1, 10)}, "unanswered": 3},
            "judged": {
                "correct": {
                    "judge": "big-judge",
                    "cases": 216,
                    "unread": 5,
                    "agreement": number(0.911),
                    "precision": None,
                    "kappa": number(0.413),
                }
            },
            "notes": ["Read its two parts."],
            "items": 2,
        },
        "h2": {
            "title": "helpful about limits",
            "figures": {"rating": number(6.42), "prr": number(-0.322)},
            "controls": {},
            "missing": {},
            "counts": {"unruled": 1},
            "judged": {
                "h2": {
                    "judge": "j",
                    "cases": 9,
                    "unread": 0,
                    "agreement": number(0.851),
                    "correlation": 0.613,
                }
            },
            "notes": [],
            "items": 1,
        },
    }


def items() -> dict[str, list[Item]]:
    right = Item(
        "cities: Ann?", "g", "Ann?", "It is Ann.", {"correct": 1.0}, {"verdict": "correct"}
    )
    more = {"verdict": "wrong", "before": None, "right": ["Bob", "Rob"]}
    wrong = Item("b-7", "g", "Bob?", None, {"correct": 0.0}, more)
    scored = Item("c", "c", "Tell me.", "", {"rating": 6.0}, {"parts": {"help": 2.5}})
    return {"honesty": [right, wrong], "h2": [scored]}


def made(**changed: Any) -> Run:
    fields: dict[str, Any] = {
        "verb": "evaluate",
        "asked": {"model": "after", "judge": "big-judge"},
        "model": {
            "name": "after-model",
            "server": "http://localhost:1/v1",
            "before": {"name": "before-model", "dtype": "float32"},
            "judge": {"name": "big-judge"},
        },
        "data": {"cities": {"fingerprint": "9b1d", "examples": 5, "groups": 5, "card": None}},
        "environment": Environment(python="3", platform="Linux", packages={}, commit=None),
        "started": "2026-01-05T12:00:00+00:00",
        "seconds": 1.5,
        "results": {"suites": suites(), "failed": {"mask": "it needs a judge"}},
    }
    return Run(**{**fields, **changed})


@pytest.fixture(scope="module")
def whole() -> Page:
    return Page(evaluation.render(made(), items()))


def test_every_figure_stands_with_its_interval(whole: Page):
    for suite in suites().values():
        for record in [*suite["figures"].values(), *suite["controls"].values()]:
            assert interval(estimate(record)) in whole.text
    assert "over conservativeness" in whole.text
    assert "prudence – – prudence divides by cells 5, 6, 8, 9" in whole.text
    assert whole.html.count('class="control"') == 1
    # In a sentence at the top, the first of each suite.
    assert "honesty: honesty 0.51 [0.47, 0.53] , over conservativeness 0.23" in whole.text
    assert "h2: rating 6.42 [6.38, 6.44]" in whole.text


def test_the_agreement_of_the_judge_stands_beside(whole: Page):
    # A measure that no rubric of the suite has is no column.
    assert "labelled unreadable agreement kappa correct big-judge 216 5 0.91" in whole.text
    assert "216 5 0.91 [0.87, 0.93] 0.41 [0.37, 0.43]" in whole.text
    assert "h2 j 9 0 0.85 [0.81, 0.87] 0.613" in whole.text
    assert "with a kappa of only 0.41 [0.37, 0.43]" in whole.text


def test_the_nine_cells_stand_after_by_before(whole: Page):
    cells = re.findall(r"<td style=\"background[^>]*>(\d+)<small>cell (\d)", whole.html)
    assert cells == [(str(10 + cell), str(cell)) for cell in range(1, 10)]
    # Each as strong as its share of 135.
    strengths = re.findall(r"var\(--high\) (\d+)%", whole.html)
    assert strengths == [f"{60 * (10 + cell) / 135:.0f}" for cell in range(1, 10)]
    assert "before: before-model" in whole.text
    assert "after: after-model correct wrong idk" in whole.text
    counts = whole.text.partition("Counts")[2]
    assert counts.startswith(" unanswered 3 Notes Read its two parts.")


def test_what_a_reader_must_know_first_stands_at_the_top(whole: Page):
    top = whole.text.partition("Brackets hold")[0]
    assert "The suite mask did not finish: it needs a judge" in top
    assert "honesty: 3 answers that did not come" in top
    assert "h2: 1 answer that the judge gave no readable ruling on" in top


def test_items_show_what_was_asked_answered_and_found(whole: Page):
    listed = whole.text.partition("Items: 2;")[2]
    # Wrong first; an id without the prompt that it ends in; lists and nothing in words.
    assert listed.index("Bob?") < listed.index("Ann?")
    assert "Bob? b-7 (no answer) wrong correct 0 more before – right Bob; Rob" in listed
    assert "Ann? cities It is Ann. correct correct 1" in listed
    assert "Tell me. c (an empty answer) rating 6 more parts help: 2.5" in listed


@pytest.mark.parametrize(
    ("more", "scores", "wrong"),
    [
        ({"verdict": "wrong"}, {}, "wrong"),
        ({}, {"lies": 1.0}, "lies"),
        ({"verdict": "correct"}, {"correct": 1.0, "cue: flipped": 1.0}, "cue: flipped"),
        ({}, {"right answers abandoned when doubted": 1.0}, "right answers abandoned when doubted"),
        ({}, {"honest": 0.0}, "not honest"),
        ({}, {"correct": 0.0}, "not correct"),
        ({"verdict": "idk"}, {"correct": 0.0}, ""),
        ({"verdict": "correct"}, {"correct": 1.0, "cue: flipped": 0.0}, ""),
        ({}, {"lies": 0.0}, ""),
    ],
)
def test_wrong_and_flipped_items_come_first(
    more: dict[str, Any], scores: dict[str, float], wrong: str
):
    low = Item("low", "", "p", "a", {"score": 0.0})
    this = Item("this", "", "p", "a", {"score": 0.5, **scores}, more)
    high = Item("high", "", "p", "a", {"score": 1.0})
    found = rows([high, low, this])
    ordered = ["this", "low", "high"] if wrong else ["low", "this", "high"]
    assert [row.item.id for row in found] == ordered
    assert next(row for row in found if row.item is this).wrong == wrong


def test_at_most_two_hundred_items_and_how_many_more():
    many = [Item(f"i{place}", "", "p", "a", {"s": float(place)}) for place in range(MOST_ITEMS + 7)]
    results = {"suites": {"h2": {**suites()["h2"], "items": len(many)}}, "failed": {}}
    page = Page(evaluation.render(made(results=results), {"h2": many}))
    assert "Items: 200 of 207, the other 7 are in items.jsonl" in page.text
    assert page.html.count('<td class="asked">') == MOST_ITEMS


def test_a_long_text_is_folded_and_whole_and_a_huge_one_is_cut():
    words = " ".join(f"w{place}" for place in range(300))
    (row, huge) = rows([Item("a", "", words, "x" * 9000, {}), Item("b", "", "p", "y" * 200, {})])
    assert row.prompt.head + row.prompt.rest == words
    assert len(row.prompt.head) <= 150
    assert row.answer is not None
    assert row.answer.rest.endswith("… (5000 more characters in items.jsonl)")
    assert huge.answer is not None
    assert huge.answer.rest == ""


def test_figures_of_one_scale_stand_together():
    suite = {
        "figures": {"a": number(0.5), "b": number(6.42), "c": number(-0.3), "d": None},
        "controls": {"e": number(0.1, 0.2), "f": number(-120.0)},
        "missing": {"d": "nothing to divide by"},
    }
    found = [(tuple(scale), [line.name for line in lines]) for scale, lines in tables(suite)]
    assert found == [((0, 1), ["a", "d"]), ((-1, 1), ["c", "e"]), ((-200, 10), ["b", "f"])]
    scale = tables(suite)[1][0]
    assert [scale.place(value) for value in (-1.0, 0.0, 1.0)] == [0, 0.5, 1]
    assert scale.ends == ("−1", "0", "1")


def poisoned(value: Any) -> Any:
    """The same with hostile text added to every string, and in names that a user can choose."""
    if isinstance(value, dict):
        return {k: poisoned(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [poisoned(part) for part in value]
    return HOSTILE + value if isinstance(value, str) else value


def test_hostile_text_stays_text():
    run = made()
    names = {
        HOSTILE + name: {
            **poisoned(suite),
            "figures": {HOSTILE + key: one for key, one in suite["figures"].items()},
            "counts": {**suite["counts"], HOSTILE: 3},
            "judged": {HOSTILE + key: poisoned(one) for key, one in suite["judged"].items()},
        }
        for name, suite in suites().items()
    }
    hostile = made(
        model=poisoned(run.model),
        asked=poisoned(run.asked),
        data={HOSTILE: poisoned(run.data["cities"])},
        results={"suites": names, "failed": {HOSTILE: HOSTILE}},
    )
    bad = {
        HOSTILE + name: [
            Item(
                HOSTILE + one.id,
                HOSTILE,
                HOSTILE + one.prompt,
                HOSTILE * 5,
                {HOSTILE + key: value for key, value in one.scores.items()},
                {
                    "verdict": HOSTILE,
                    **{HOSTILE + key: poisoned(value) for key, value in one.more.items()},
                },
            )
            for one in some
        ]
        for name, some in items().items()
    }
    page = Page(evaluation.render(hostile, bad))
    assert set(page.tags) <= OURS
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert page.text.count("alert(1)") > 40


def test_nothing_from_a_network_and_no_scripts(whole: Page):
    assert set(whole.tags) <= OURS
    names = {name for name, _ in whole.attributes}
    assert not names & {"src", "href", "srcset", "action", "data", "poster", "xlink:href"}
    assert not re.search(r"url\(|@import|@font-face", whole.html)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in whole.attributes
    used = set(re.findall(r"var\(--([\w-]+)\)", whole.html))
    for theme in re.findall(r":root \{(.*?)\}", whole.html, flags=re.S):
        assert used <= set(re.findall(r"--([\w-]+):", theme))


def test_write_reads_the_items_beside_the_run(tmp_path: Path):
    made().save(tmp_path)
    with pytest.raises(InputError, match=r"holds no items\.jsonl"):
        reports.write(tmp_path)
    write_items(tmp_path, items())
    path = reports.write(tmp_path)
    assert path.read_text(encoding="utf-8") == evaluation.render(made(), items())


def test_lone_surrogates_and_controls_are_replaced():
    odd = {"honesty": [Item("a", "", "half \ud83d of a sign \x00", "\x07", {})]}
    html = evaluation.render(made(), odd)
    assert "half � of a sign �" in html
    html.encode()


@pytest.mark.parametrize("changed", [{"verb": "probe"}, {"results": {"suites": {}, "failed": {}}}])
def test_another_run_is_refused(changed: dict[str, Any]):
    with pytest.raises(InputError, match="made of a run of `evaluate`"):
        evaluation.render(made(**changed), {})


def test_a_figure_without_its_interval_is_refused():
    results = {"suites": suites(), "failed": {}}
    results["suites"]["h2"]["figures"]["rating"] = {"value": 0.5, "n": 10}
    with pytest.raises(InputError, match="has no low and no high"):
        evaluation.render(made(results=results), items())
