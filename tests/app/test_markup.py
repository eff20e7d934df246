import re

import pytest

from repalign.app import Answer, Conversation, Settings, Shading, Turn
from repalign.app.markup import conversation_html, legend_html, masthead_html
from repalign.errors import InputError
from repalign.monitoring import TokenScore, Watched

SHADING = Shading(middle=1.0, limit=2.0)
EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)"> \' & ${1+1} {{value}}'


def turn(*tokens: TokenScore, message: str = "hi", flagged: bool | None = None) -> Turn:
    watched = Watched(tokens, -1.5 if tokens else None, flagged)
    return Turn(message, Settings(2.0), Answer(watched, True), Answer(watched, True))


def drawn(*turns: Turn) -> str:
    return conversation_html(Conversation(turns), SHADING, [4.0] * len(turns))


def test_every_text_is_escaped() -> None:
    page = drawn(turn(TokenScore(1, EVIL, 0.5, 0.25), message=EVIL)) + masthead_html(EVIL, "", "")
    allowed = {"div", "section", "article", "header", "footer", "span", "b", "h1"}
    assert set(re.findall(r"</?([a-z0-9]+)", page)) == allowed
    assert page.count("&lt;script&gt;") == 6  # message and head, and token and its tip, twice
    # Nothing of a text closes an attribute: without their values no tag has an "onerror".
    for tag in re.findall(r"<[a-z][^>]*>", page):
        assert "onerror" not in re.sub(r'"[^"]*"', "", tag)


def test_a_token_has_the_colours_of_its_numbers() -> None:
    page = drawn(turn(TokenScore(1, " no", -0.5, 0.25)))
    # 1.5 below the middle of a limit of 2: three quarters of 0.6, vermilion.
    assert "--score:rgba(213,94,1,0.45);--probability:rgba(122,81,149,0.45)" in page
    assert 'data-tip="no   score −0.5   probability 0.25"' in page


def test_a_token_without_probability_and_one_without_text() -> None:
    page = drawn(turn(TokenScore(1, "", 3.0, None, False)))
    assert "--score:rgba(0,114,179,0.60)" in page
    assert "probability" not in page
    assert 'data-tip="special token   score 3"' in page


@pytest.mark.parametrize(
    ("flagged", "shown"), [(True, "flagged"), (False, "not flagged"), (None, None)]
)
def test_a_flag_is_shown_where_there_is_a_threshold(
    flagged: bool | None, shown: str | None
) -> None:
    page = drawn(turn(TokenScore(1, "a", 0.0, 0.5), flagged=flagged))
    found = re.findall(r'<span class="(?:flagged|passed)">([^<]*)<', page)
    assert found == ([shown] * 2 if shown else [])


def test_the_push_itself_is_named() -> None:
    page = drawn(turn())
    assert "Steered by +2" in page
    assert page.count("+4 of each score is the push itself") == 1


def test_the_legend_says_which_scores_have_full_colour() -> None:
    legend = legend_html(SHADING, -3.0)
    assert "<span>−1</span><span>1</span><span>3</span>" in legend
    assert "below −3 are flagged" in legend
    assert "flagged" not in legend_html(SHADING, None)


@pytest.mark.parametrize(("middle", "limit"), [(0.0, 0.0), (float("nan"), 1.0), (0.0, -1.0)])
def test_a_shading_that_tells_nothing_apart_is_refused(middle: float, limit: float) -> None:
    with pytest.raises(InputError, match="range"):
        Shading(middle, limit)
