"""Token views: which token, which colour, which were read."""

import re
from html.parser import HTMLParser

from repalign.reports import TokenView, tokens_html
from repalign.reports.tokens import colour


class Spans(HTMLParser):
    """The attributes and the text of each token."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tokens: list[tuple[dict[str, str | None], str]] = []
        self.other: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "span":
            self.tokens.append((dict(attrs), ""))
        else:
            self.other.append(tag)

    def handle_data(self, data: str) -> None:
        attributes, text = self.tokens[-1]
        self.tokens[-1] = attributes, text + data


def test_tokens_keep_their_order_text_and_score():
    pieces = [["The", False, -1.0], [" <b>", True, 0.5], [' "x"', True, None]]
    tokens = Spans(tokens_html(pieces)).tokens
    assert [text for _, text in tokens] == ["The", " <b>", ' "x"']
    titles = ["−1, not read", "0.5, read", "no score, read"]
    assert [attributes["title"] for attributes, _ in tokens] == titles
    assert ["outline" in (attributes["style"] or "") for attributes, _ in tokens] == [0, 1, 1]
    assert "background" not in (tokens[2][0]["style"] or "")


def test_colour_grows_with_the_score_and_turns_at_zero():
    def parts(score: float, limit: float = 2.0) -> tuple[str, float]:
        found = re.fullmatch(r"rgba\((.*),([\d.]+)\)", colour(score, limit))
        assert found
        return found[1], float(found[2])

    assert parts(2.0) == ("0,114,179", 0.6)
    assert parts(-2.0) == ("213,94,1", 0.6)
    assert parts(1.0)[1] == parts(-1.0)[1] == 0.3
    assert parts(0.0)[1] == 0
    assert parts(9.0) == parts(2.0)
    assert parts(1.0, limit=0.0)[1] == 0


def test_line_breaks_are_seen_and_kept():
    (_, text), *_ = Spans(tokens_html([["a\n\tb", False, 0.0]])).tokens
    assert text == "a↵\n⇥\tb"


def test_hostile_tokens_and_titles_are_text():
    evil = "</div><script>alert(1)</script>\" onclick='x"
    html = TokenView(evil, [[evil, True, 1.0]])._repr_html_()
    spans = Spans("<span>" + html)
    assert spans.other == ["div", "p", "div"]
    assert set(spans.tokens[1][0]) == {"class", "style", "title"}
    assert spans.tokens[1][1] == evil


def test_views_on_one_scale_can_be_compared():
    weak = TokenView("weak", [["a", False, 0.1]], scale=1.0)._repr_html_()
    alone = TokenView("weak", [["a", False, 0.1]])._repr_html_()
    assert "0.06)" in weak
    assert "0.60)" in alone


def test_an_outlier_that_was_not_read_leaves_the_others_their_colour():
    view = TokenView("sink", [["The", False, 500.0], ["sea", False, -1.0], [".", True, 2.0]])
    assert view.limit == 2.0
    assert colour(500.0, view.limit) == colour(2.0, view.limit)
    assert TokenView("none read", [["a", False, 3.0], ["b", False, 1.0]]).limit == 3.0


def test_no_tokens_and_no_scores():
    assert Spans(tokens_html([])).tokens == []
    assert TokenView("none", [["a", True, None]]).limit == 0
