"""The page: what it says, that it says it with intervals, and that no text can act in it."""

import json
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from repalign import reports
from repalign.errors import InputError, MissingExtraError
from repalign.reports.drawing import Drawing
from repalign.reports.numbers import estimate, interval, percent, score
from repalign.storage import write_json

HOSTILE = "</script><script>alert(1)</script>\" onload='alert(2)' <img src=x onerror=alert(3)> & $_"
SMALL: dict[str, Any] = {"layers": 3, "probes": 1, "topics": ("cities", "spanish"), "texts": 40}
# All that the page is made of; an element that is not here came out of somebody's text.
OURS = set(
    re.findall(
        r"\w+",
        """html head meta title style body main section h1 h2 h3 p span bdi ul li table thead
        tbody tr th td details summary figure figcaption dl dt dd code pre div
        svg g path defs use clippath rect line circle text""",
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
        # Style is not text that anybody reads.
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


@pytest.fixture(scope="module")
def whole(make) -> Page:
    """The page of a run that lacks nothing."""
    return Page(reports.render(*make()))


@pytest.fixture(scope="module")
def small(make) -> Page:
    """The same with everything small."""
    return Page(reports.render(*make(**SMALL)))


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """Figures of one line, for tests of what stands around them."""
    monkeypatch.setattr(Drawing, "to_inline_svg", lambda *_: "<svg></svg>")


def shown_estimates(value: Any) -> list[dict[str, Any]]:
    """Every estimate anywhere in the results."""
    if isinstance(value, dict):
        here = [value] if {"value", "low", "high"} <= set(value) and "n" in value else []
        return here + [found for part in value.values() for found in shown_estimates(part)]
    if isinstance(value, list):
        return [found for part in value for found in shown_estimates(part)]
    return []


def poisoned(value: Any) -> Any:
    """The same with hostile text in place of, or added to, every string that a user can choose."""
    if isinstance(value, dict):
        return {k: v if k == "site" else poisoned(v) for k, v in value.items()}
    if isinstance(value, list):
        return [poisoned(part) for part in value]
    return HOSTILE + value if isinstance(value, str) else value


def test_answer_is_one_sentence_with_intervals(whole):
    assert (
        "On cities, the logistic probe at layer 18 tells true from false with AUROC "
        "0.94 [0.92, 0.96] ; with shuffled labels 0.50 [0.49, 0.51] ." in whole.text
    )


@pytest.mark.usefixtures("undrawn")
def test_a_weak_result_is_not_called_one(make, whole):
    run, figures = make(**SMALL)
    run.results["best"]["auroc"] = {"value": 0.52, "low": 0.45, "high": 0.59, "n": 293}
    page = Page(reports.render(run, figures))
    assert "does not surely tell true from false with AUROC 0.52 [0.45, 0.59]" in page.text
    assert "control “bag of words”" in page.text
    assert "does not surely tell" not in whole.text


def test_every_estimate_appears_with_its_interval(make, whole):
    run, _ = make()
    # The record at the end holds the raw numbers; it must not be what satisfies this test.
    text = whole.text.partition("Results as recorded")[0]
    results = dict(run.results)
    every = shown_estimates({k: v for k, v in results.items() if k != "transfer_matrix"})
    assert len(every) > 140
    for record in every:
        found = estimate(record)
        assert any(how(found) in text for how in (interval, percent, score)), record
    for record in shown_estimates(results["transfer_matrix"]):
        assert f"{record['value']:.2f}" in text
        assert f"[{record['low']:.2f}, {record['high']:.2f}]" in text


@pytest.mark.usefixtures("undrawn")
def test_no_lone_auroc(make):
    """Three decimals are what an AUROC has here: each is a value with its interval, or an end."""
    page = Page(reports.render(*make(**SMALL, without=("tokens",))))
    text = page.text.partition("Where and when")[0]
    inside = re.sub(r"\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]", "", text)
    assert re.findall(r"(?<![\d−.])0\.\d{3}(?!\d)", inside) == ["0.001", "0.001"]  # tolerances


def test_hostile_text_is_only_text(make, small):
    run, figures = make(**SMALL)
    fields = run.model_dump()
    for part in ("asked", "model", "results", "data"):
        fields[part] = poisoned(fields[part])
    fields["results"]["best"]["data"] = HOSTILE
    fields["results"]["readout"]["why"] = HOSTILE
    for part in ("transfer", "by_site", "tests"):
        fields["results"][part] = {HOSTILE + k: v for k, v in fields["results"][part].items()}
    fields["data"] = {HOSTILE: next(iter(fields["data"].values()))}
    fields["environment"]["packages"] = {HOSTILE: HOSTILE}
    page = Page(reports.render(type(run).model_validate(fields), poisoned(figures)))
    assert set(page.tags) <= OURS
    assert {name for name, _ in page.attributes} == {name for name, _ in small.attributes}
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert page.text.count("<script>alert(1)</script>") > 20
    assert page.tags["style"] == 1


def test_nothing_is_fetched(whole):
    page, html = whole, whole.html
    assert set(page.tags) <= OURS
    links = [v for k, v in page.attributes if k.rpartition(":")[2] in ("src", "href", "srcset")]
    assert links
    assert all(link.startswith("#") for link in links)
    assert not re.search(r"url\((?!#)|@import|@font-face", html)
    # A licence's address is text.
    assert "https://creativecommons.org" in page.text
    assert not any("//" in value for _, value in page.attributes)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_references_within_the_page_are_whole(whole):
    """Ids are unique and every reference has its target: figures do not draw on one another."""
    page, html = whole, whole.html
    ids = Counter(value for name, value in page.attributes if name == "id")
    assert max(ids.values()) == 1
    wanted = {v[1:] for k, v in page.attributes if k.rpartition(":")[2] == "href"}
    wanted |= set(re.findall(r"url\(#([^)]*)\)", html))
    assert wanted
    assert wanted <= set(ids)


def test_colours_follow_the_theme(whole):
    html = whole.html
    used = set(re.findall(r"var\(--([\w-]+)\)", html))
    light, dark = re.findall(r":root \{(.*?)\}", html, flags=re.S)
    for theme in (light, dark):
        assert used <= set(re.findall(r"--([\w-]+):", theme))
    figures = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.S))
    assert not re.search(r"(fill|stroke): #", figures)


@pytest.mark.parametrize(
    ("without", "gone"),
    [
        (("transfer", "transfer_matrix", "pooled"), "Transfer: does it hold"),
        (("pooled",), "Pooled against single"),
        (("transfer_matrix",), "Every topic on every other"),
        (("threshold", "thresholds"), "the threshold"),
        (("tests",), "Tests on other files"),
        (("scores", "threshold", "thresholds"), "How many texts"),
        (("projection",), "Texts in two dimensions"),
        (("tokens",), "token by token"),
        (("by_site",), "AUROC by layer"),
        (("controls",), "shuffled labels"),
        (("readout",), "kept for scoring"),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_missing_parts_leave_out_their_section(make, small, without, gone):
    part = Page(reports.render(*make(**SMALL, without=without))).text
    assert gone in small.text
    removed = part.replace("scored by the readout kept for scoring", "")
    assert gone not in removed
    assert "How surely" in part


@pytest.mark.usefixtures("undrawn")
def test_everything_optional_may_be_null_or_empty(make):
    run, _ = make()
    kept = ("best", "controls")
    empty = {name: None if name in ("pooled", "threshold") else {} for name in run.results}
    results = {**empty, **{name: run.results[name] for name in kept}, "thresholds": []}
    bare = run.model_copy(update={"results": results, "data": {}, "model": {}})
    page = Page(reports.render(bare, {"scores": {"honest": [], "dishonest": []}, "tokens": []}))
    assert "0.941 [0.920, 0.956]" in page.text
    assert "Transfer" not in page.text
    assert page.tags["figure"] == 0


@pytest.mark.usefixtures("undrawn")
def test_no_benign_chats(make):
    run, figures = make(**SMALL, without=("threshold", "thresholds"))
    del figures["scores"]["benign"]
    page = Page(reports.render(run, figures))
    assert "benign" not in page.text.partition("The record")[0]
    assert "20 honest, 20 dishonest)" in page.text


@pytest.mark.parametrize(
    "case",
    [
        {"layers": 1, "probes": 1, "topics": ("cities",)},
        {"layers": 80, "probes": 6, "texts": 4000},
        {
            "layers": 3,
            "topics": ("a" * 300, "مدن العالم", "城市", "_hidden", "$\\frac{", "\x1b[0m"),
        },
    ],
)
def test_extreme_runs(make, case):
    run, figures = make(**case)
    html = reports.render(run, figures)
    assert len(html.encode()) < 1_500_000
    page = Page(html)
    for topic in case.get("topics", ()):
        assert topic.replace("\x1b", "�") in page.text


@pytest.mark.usefixtures("undrawn")
def test_lone_surrogates_and_controls_are_replaced(make):
    run, figures = make(**SMALL)
    figures["tokens"][0]["title"] = "half \ud83d of a sign \x00"
    figures["tokens"][0]["pieces"] = [["\udc00\x07", True, 1.0]]
    html = reports.render(run, figures)
    assert "half � of a sign �" in html
    html.encode()


@pytest.mark.usefixtures("undrawn")
def test_failed_check_and_turned_topic_stand_at_the_top(make):
    run, figures = make(**SMALL)
    run.model["checks"][0]["passed"] = False
    run.model["checks"][0]["error"] = None
    text = Page(reports.render(run, figures)).text
    top = text.partition("How surely")[0]
    assert "fails 1 self-check(s) (padding)" in top
    assert "points the wrong way on spanish:" in top
    assert "not a number" in text


def test_threshold_in_words(make, whole):
    run, _ = make()
    text = whole.text
    assert "Allowing 1% false alarms: texts that score below −1.517 [" in text
    assert "Allowing 5% false alarms: texts that score below −0.812 [" in text
    for record in run.results["thresholds"]:
        assert f"flags {percent(estimate(record['fpr']))} of the benign" in text
        assert f"catches {percent(estimate(record['recall']))} of the dishonest" in text


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.09, "is better than"),
        (-0.02, 0.09, "does not differ surely from"),
        (-0.2, -0.1, "is worse than"),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_pooling_is_praised_only_when_sure(make, low, high, verdict):
    run, figures = make(**SMALL)
    difference = {"value": (low + high) / 2, "low": low, "high": high, "n": 9}
    run.results["pooled"]["difference"] = difference
    text = Page(reports.render(run, figures)).text
    assert f"pooled over topics {verdict} the best direction of one topic (spanish)" in text


def test_equal_runs_give_equal_pages(make, whole):
    assert reports.render(*make()) == whole.html


@pytest.mark.usefixtures("undrawn")
def test_a_figure_without_its_interval_is_refused(make):
    run, figures = make(**SMALL)
    run.results["controls"]["length"] = {"value": 0.5, "n": 10}
    with pytest.raises(InputError, match="has no low and no high"):
        reports.render(run, figures)


def test_another_verb_is_refused(make):
    run, figures = make(**SMALL, verb="score")
    with pytest.raises(InputError, match="this is a run of 'score'"):
        reports.render(run, figures)


def test_a_run_without_a_result_is_refused(make):
    run, figures = make(**SMALL, without=("best",))
    with pytest.raises(InputError, match="with its results"):
        reports.render(run, figures)


@pytest.mark.usefixtures("undrawn")
def test_write_reads_the_folder_and_replaces_the_report(make, tmp_path: Path):
    run, figures = make(**SMALL)
    run.save(tmp_path)
    with pytest.raises(InputError, match=r"figures\.json does not exist"):
        reports.write(tmp_path)
    assert not (tmp_path / "report.html").exists()
    write_json(tmp_path / "figures.json", figures)
    path = reports.write(tmp_path)
    assert path == tmp_path / "report.html"
    again = json.loads(json.dumps(figures))
    assert path.read_text(encoding="utf-8") == reports.render(run, again)
    assert reports.write(tmp_path) == path
    assert {file.name for file in tmp_path.iterdir()} == {"run.json", "figures.json", "report.html"}


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_missing_package_names_the_command(monkeypatch, package):
    for name in [name for name in sys.modules if name.startswith("repalign.reports.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    if package == "matplotlib":
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'repalign\[report\]'"):
        _ = reports.render
