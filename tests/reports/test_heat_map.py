"""Heat maps: which token has which colour and number, before its script runs and after."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repalign.errors import InputError
from repalign.reports.heat_map import HeatMap, heat_map

TOKENS = ["The", " sea", " is", "\n", "wet"]
SCORES = {
    "L1.resid_post": [1.0, -2.0, 0.0, None, 0.5],
    "L2.resid_post": [-3.0, -2.0, 1.5, 0.25, None],
}
CHANCES = [None, 0.25, 1.0, 0.5, 0.0]
EVIL = "</p></script><script>document.title='taken'</script><img src=x onerror=\"alert(1)\">'"


class Page(HTMLParser):
    """Tokens with attributes and text; every other tag; what scripts hold."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tokens: list[dict[str, str]] = []
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "token" in found.get("class", "").split():
            self.tokens.append(found)
            self.texts.append("")
        else:
            self.tags.append((tag, found))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside == "span" and self.texts:
            self.texts[-1] += data

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.scripts[0])


def test_every_token_has_its_colour_and_its_numbers() -> None:
    page = Page(heat_map(TOKENS, SCORES, CHANCES, threshold=-1.0).html)
    assert [token["data-text"] for token in page.tokens] == TOKENS
    assert [token["title"] for token in page.tokens] == [
        "score 1",
        "score −2, probability 0.250",
        "score 0, probability 1.000",
        "no score, probability 0.500",
        "score 0.5, probability 0.000",
    ]
    assert ["below" in token["class"] for token in page.tokens] == [False, True, *[False] * 3]
    # Around the threshold: full colour 2 above it, where the furthest token lies.
    assert [token.get("style") for token in page.tokens] == [
        "background:rgba(0,114,179,0.60)",
        "background:rgba(213,94,1,0.30)",
        "background:rgba(0,114,179,0.30)",
        None,
        "background:rgba(0,114,179,0.45)",
    ]


def test_what_the_script_gets_is_what_was_given() -> None:
    data = Page(heat_map(TOKENS, SCORES, CHANCES, {"L2.resid_post": -2.5}).html).data
    assert data["sites"] == list(SCORES)
    assert data["scores"] == list(SCORES.values())
    assert data["probabilities"] == CHANCES
    assert data["thresholds"] == [None, -2.5]
    assert data["centres"] == [0.0, -2.5]
    assert data["limits"] == [2.0, 4.0]


def test_one_outlier_leaves_the_others_their_colour() -> None:
    scores = np.append(np.linspace(-1, 1, 99), 500.0)
    data = Page(heat_map(["x"] * 100, scores).html).data
    assert data["limits"][0] == pytest.approx(1.0)


def test_controls_are_there_where_there_is_something_to_choose() -> None:
    def inputs(page: HeatMap) -> list[tuple[str, str]]:
        tags = [a for tag, a in Page(page.html).tags if tag == "input"]
        return [(a["type"], a["value"]) for a in tags]

    one = {"L1.resid_post": SCORES["L1.resid_post"]}
    radios = [("radio", "honesty"), ("radio", "probability")]
    assert inputs(heat_map(TOKENS, one)) == []
    assert inputs(heat_map(TOKENS, one, CHANCES)) == radios
    assert inputs(heat_map(TOKENS, SCORES)) == [("range", "0")]
    started = heat_map(TOKENS, SCORES, CHANCES, start="L2.resid_post")
    assert inputs(started) == [("range", "1"), *radios]
    assert Page(started.html).tokens[0]["title"] == "score −3"
    assert Page(started.html).data["start"] == 1


def test_hostile_tokens_sites_and_titles_are_text() -> None:
    page = Page(heat_map([EVIL, "ok"], {EVIL: [1.0, 2.0], "b": [0.0, 0.0]}, title=EVIL).html)
    assert page.tokens[0]["data-text"] == EVIL
    assert page.texts[0] == EVIL
    assert page.data["sites"][0] == EVIL
    tags = {tag for tag, _ in page.tags}
    assert "img" not in tags
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 2
    assert not [name for _, found in page.tags for name in found if name.startswith("on")]
    assert set(page.tokens[0]) == {"class", "style", "tabindex", "title", "data-text"}


def test_a_page_allows_its_own_script_and_nothing_from_a_network() -> None:
    shown = heat_map(TOKENS, SCORES, CHANCES)
    assert "http" not in shown.html.replace("http-equiv", "")
    policy = next(
        a["content"] for _, a in Page(shown.html).tags if "content" in a and "http-equiv" in a
    )
    assert policy.startswith("default-src 'none'")
    assert f"'nonce-{shown.key}'" in policy


def test_several_in_one_notebook_have_parts_of_their_own() -> None:
    def names(page: Page) -> set[str]:
        return {a[k] for _, a in page.tags for k in ("id", "name") if k in a and a[k] != "viewport"}

    one, two = (Page(heat_map(TOKENS, SCORES, CHANCES)._repr_html_()) for _ in range(2))
    assert len(names(one)) == 2
    assert not names(one) & names(two)
    assert next(iter(n for n in names(one) if "-" in n)) in one.scripts[1]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"scores": {"a": [1.0]}}, "1 scores of a were given for 5"),
        ({"scores": {}}, "at least one site"),
        ({"scores": {"a": [1.0, 2.0, float("nan"), 0.0, 0.0]}}, "NaN"),
        ({"probabilities": [0.5]}, "1 probabilities"),
        ({"probabilities": [0.5, 0.5, 0.5, 0.5, 1.5]}, "from 0 to 1"),
        ({"threshold": {"L9": 0.0}}, "L9"),
        ({"start": "L9"}, "no site with scores 'L9'"),
    ],
)
def test_numbers_that_do_not_belong_to_the_tokens_are_refused(
    change: dict[str, Any], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        heat_map(**{"tokens": TOKENS, "scores": SCORES, **change})


def test_no_tokens_and_no_scores_make_a_page() -> None:
    assert Page(heat_map([], {"a": []}).html).tokens == []
    assert Page(heat_map(["x"], {"a": [None]}).html).tokens[0]["title"] == "no score"


_STEPS = """
const log = [], heat = document.querySelector(".repalign-heat");
const tokens = heat.querySelectorAll(".token"), slider = heat.querySelector(".layer input");
function note() {
  log.push([tokens[1].style.background, heat.querySelector(".layer output").textContent,
    heat.querySelector(".reading").textContent, tokens[0].className]);
}
note();
slider.value = 1; slider.dispatchEvent(new Event("input"));
tokens[0].dispatchEvent(new Event("mouseenter")); note();
tokens[0].dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));
const other = heat.querySelectorAll("fieldset input")[1];
other.checked = true; other.dispatchEvent(new Event("change")); note();
tokens[1].dispatchEvent(new KeyboardEvent("keydown", {key: "End"})); note();
log.push([document.title, String(document.images.length), String(slider.closest("[hidden]")), ""]);
const out = document.createElement("pre"); out.id = "log"; out.textContent = JSON.stringify(log);
document.body.append(out);
"""


def test_the_script_in_a_browser(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium to run it in")
    tokens = [EVIL, *TOKENS[1:]]
    shown = heat_map(tokens, SCORES, CHANCES, threshold=-2.5)
    steps = f'<script nonce="{shown.key}">{_STEPS}</script></body>'
    (tmp_path / "page.html").write_text(shown.html.replace("</body>", steps))
    words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    done = subprocess.run(
        [browser, *words, "--dump-dom", f"file://{tmp_path}/page.html"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.search(r'<pre id="log">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr
    begin, moved, by_chance, last, end = json.loads(HTMLText(found[1]).text)
    assert begin[1] == "L1.resid_post"
    assert "Point at a token" in begin[2]
    assert "below" not in begin[3]
    # −2 is 0.5 above the threshold; the furthest tokens of the sites are 3.5 and 4 from it.
    assert alpha(begin[0]) == pytest.approx(0.6 * 0.5 / 3.5, abs=2e-3)
    assert alpha(moved[0]) == pytest.approx(0.6 * 0.5 / 4.0, abs=2e-3)
    assert moved[1] == "L2.resid_post"
    assert moved[2] == EVIL + "token 1 of 5score −3below the threshold −2.5"
    assert "below" in moved[3]
    assert by_chance[2] == " seatoken 2 of 5score −2probability 0.250not below the threshold −2.5"
    assert alpha(by_chance[0]) == pytest.approx(0.6 * 0.75, abs=2e-3)
    assert last[2] == "wettoken 5 of 5no scoreprobability 0.000"
    assert end[:3] == ["Tokens by score", "0", "null"]


class HTMLText(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.text += data


def alpha(background: str) -> float:
    return float(background.rsplit(",", 1)[1].rstrip(") "))
