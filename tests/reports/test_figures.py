"""Figures draw the numbers that they were given, nothing else and nothing less."""

import subprocess
import sys
from typing import Any

import matplotlib as mpl
import matplotlib.colors
import numpy as np
import pytest

from repalign.errors import InputError
from repalign.reports import figures as draw
from repalign.reports.drawing import HIGH, LOW, Drawing
from repalign.reports.margin import apart


def panels(figure: Drawing) -> list[Any]:
    """The axes, untyped: matplotlib's annotations name only what all artists share."""
    return list(figure.axes)


def line(axes: Any, name: str) -> Any:
    return next(found for found in axes.lines if found.get_label() == name)


def texts(figure: Drawing) -> list[str]:
    return [text.get_text() for axes in panels(figure) for text in axes.texts]


def test_lines_and_bands_are_the_results(make):
    run, _ = make(layers=12)
    axes = panels(draw.auroc_by_layer(run.results))[0]
    for probe, entries in run.results["by_site"].items():
        drawn = line(axes, probe)
        assert drawn.get_xdata().tolist() == list(range(12))
        assert drawn.get_ydata().tolist() == [entry["auroc"]["value"] for entry in entries]
    bands = [found for found in axes.collections if found.get_paths() and found.get_alpha()]
    assert len(bands) == 4
    for entries, band in zip(run.results["by_site"].values(), bands, strict=True):
        points = {tuple(np.round(point, 9)) for point in band.get_paths()[0].vertices}
        for layer, entry in enumerate(entries):
            assert (layer, round(entry["auroc"]["low"], 9)) in points
            assert (layer, round(entry["auroc"]["high"], 9)) in points


def test_layers_are_drawn_in_order_whatever_the_order_given(make):
    run, _ = make(layers=12)
    entries = run.results["by_site"]["logistic"]
    wanted = [entry["auroc"]["value"] for entry in entries]
    run.results["by_site"]["logistic"] = entries[::-1]
    drawn = line(panels(draw.auroc_by_layer(run.results))[0], "logistic")
    assert drawn.get_xdata().tolist() == list(range(12))
    assert drawn.get_ydata().tolist() == wanted


def test_controls_are_dashed_lines_at_their_values(make):
    run, _ = make()
    figure = draw.auroc_by_layer(run.results)
    dashed = [found for found in panels(figure)[0].lines if found.is_dashed()]
    wanted = sorted(control["value"] for control in run.results["controls"].values())
    assert sorted(found.get_ydata()[0] for found in dashed) == wanted
    assert sorted(texts(figure)) == sorted(draw.CONTROLS.values())


def test_the_ring_is_at_the_best_site(make):
    run, _ = make()
    ring = panels(draw.auroc_by_layer(run.results))[0].collections[1]
    chosen = next(
        entry["auroc"]["value"]
        for entry in run.results["by_site"]["logistic"]
        if entry["site"] == run.results["best"]["site"]
    )
    assert ring.get_offsets().tolist() == [[18, chosen]]


def test_streams_have_a_panel_each(make):
    run, _ = make(layers=4, probes=1)
    entries = run.results["by_site"]["logistic"]
    other = [{**e, "site": e["site"].replace("resid_post", "attn_out")} for e in entries[:3]]
    run.results["by_site"]["logistic"] = entries + other
    figure = draw.auroc_by_layer(run.results)
    assert [axes.get_xlabel() for axes in panels(figure)] == [
        "layer (resid_post)",
        "layer (attn_out)",
    ]
    assert [len(line(axes, "logistic").get_xdata()) for axes in panels(figure)] == [4, 3]


def test_one_layer_has_a_point_with_its_interval(make):
    run, _ = make(layers=1, probes=1)
    axes = panels(draw.auroc_by_layer(run.results))[0]
    found = run.results["by_site"]["logistic"][0]["auroc"]
    assert line(axes, "logistic").get_ydata().tolist() == [found["value"]]
    ends = axes.containers[0][2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose(ends, [found["low"], found["high"]])
    assert axes.get_xticks().tolist() == [0]


def test_margin_names_keep_apart_and_near():
    heights = apart([0.49, 0.494, 0.5, 0.9], 0.05, 0.4)
    assert np.diff(heights).min() >= 0.05 - 1e-12
    assert heights[-1] == 0.9
    assert np.mean(heights[:3]) == pytest.approx(np.mean([0.49, 0.494, 0.5]))
    assert apart([0.41, 0.41], 0.05, 0.4)[0] >= 0.4


def test_histogram_counts_every_text(make):
    run, figures = make()
    figure = draw.score_histogram(figures, run.results["threshold"])
    filled = [p for axes in panels(figure) for p in axes.patches if getattr(p, "fill", False)]
    steps = [patch for patch in filled if hasattr(patch, "get_data")]
    counted = [int(patch.get_data().values.sum()) for patch in steps]
    assert counted == [len(figures["scores"][name]) for name in ("honest", "dishonest", "benign")]
    edges = steps[0].get_data().edges
    honest = np.asarray(figures["scores"]["honest"])
    inside = (honest >= edges[20]) & (honest < edges[21])
    assert steps[0].get_data().values[20] == inside.sum()
    assert all(np.array_equal(patch.get_data().edges, edges) for patch in steps)


def test_threshold_is_drawn_at_its_value_with_its_interval(make):
    run, figures = make()
    cut = run.results["threshold"]
    figure = draw.score_histogram(figures, cut)
    assert len(figure.axes) == 2
    for axes in panels(figure):
        assert [found.get_xdata()[0] for found in axes.lines] == [cut["value"]["value"]]
        band = next(patch for patch in axes.patches if hasattr(patch, "get_width"))
        low = band.get_x()
        assert (low, low + band.get_width()) == pytest.approx(
            (cut["value"]["low"], cut["value"]["high"])
        )
    assert not [found for axes in panels(draw.score_histogram(figures)) for found in axes.lines]


@pytest.mark.parametrize("scores", [{"honest": [1.0], "dishonest": []}, {"benign": [0.5, 0.5]}])
def test_histogram_of_few(scores):
    svg = draw.score_histogram({"scores": scores}).to_svg()
    assert svg.count("</svg>") == 1


def test_matrix_says_each_number_in_its_cell(make):
    run, _ = make()
    figure = draw.transfer_matrix(run.results)
    axes = panels(figure)[0]
    words = {}
    for text in axes.texts:
        x, y = text.get_position()
        words.setdefault((int(y), int(x)), []).append(text.get_text())
    for row, records in enumerate(run.results["transfer_matrix"]["auroc"]):
        for column, found in enumerate(records):
            if found is None:
                assert words[row, column] == ["–"]
                continue
            spread = f"[{found['low']:.2f}, {found['high']:.2f}]"
            assert words[row, column] == [f"{found['value']:.2f}", spread]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(
        run.results["transfer_matrix"]["train"]
    )


def test_matrix_changes_colour_at_one_half():
    def cell(value):
        auroc = {"value": value, "low": value, "high": value, "n": 9}
        matrix = {"train": ["a"], "test": ["b"], "auroc": [[auroc]]}
        patch = panels(draw.transfer_matrix({"transfer_matrix": matrix}))[0].patches[0]
        return matplotlib.colors.to_hex(patch.get_facecolor()), patch.get_alpha()

    assert cell(0.9)[0] == HIGH
    assert cell(0.1)[0] == LOW
    assert cell(0.9)[1] == pytest.approx(cell(0.1)[1])
    assert cell(0.5)[1] == 0


def test_projection_draws_each_text_by_label(make):
    _, figures = make()
    axes = panels(draw.projection(figures))[0]
    given = figures["projection"]
    for label, filled, colour in ((1, True, HIGH), (0, False, LOW)):
        edges = [
            matplotlib.colors.to_hex(group.get_edgecolors()[0])
            for group in axes.collections
            if (len(group.get_facecolors()) > 0) == filled
        ]
        assert set(edges) == {colour}
        drawn = [
            tuple(point)
            for group in axes.collections
            if (len(group.get_facecolors()) > 0) == filled
            for point in group.get_offsets().tolist()
        ]
        rows = zip(given["x"], given["y"], given["label"], strict=True)
        assert sorted(drawn) == sorted((x, y) for x, y, one in rows if one == label)


def test_projection_thins_what_no_eye_can_see_and_says_so(make):
    _, figures = make(texts=4000)
    axes = panels(draw.projection(figures))[0]
    assert sum(len(group.get_offsets()) for group in axes.collections) == draw.MOST_POINTS
    assert axes.get_title(loc="right") == "1500 of 4000 texts drawn"


@pytest.mark.parametrize(
    ("figure", "argument"),
    [
        (draw.auroc_by_layer, {}),
        (draw.transfer_matrix, {"transfer_matrix": None}),
        (draw.score_histogram, {"scores": {"honest": []}}),
        (draw.projection, {"projection": {"x": [], "y": [], "label": [], "topic": []}}),
    ],
)
def test_nothing_to_draw_is_said(figure, argument):
    with pytest.raises(InputError, match="to draw"):
        figure(argument)


def test_a_notebook_shows_a_figure(make):
    formatters = pytest.importorskip("IPython.core.formatters")
    _, figures = make()
    shown, _ = formatters.DisplayFormatter().format(draw.projection(figures))
    assert shown["image/svg+xml"].count("<svg") == 1
    assert "truth score" in shown["image/svg+xml"]


def test_names_are_text_not_formulas(make):
    run, _ = make(layers=2, topics=("$\\alpha$", "<b>&", "c"))
    svg = draw.transfer_matrix(run.results).to_svg()
    # The words of the text element: matplotlib also repeats them in a comment.
    assert ">$\\alpha$</text>" in svg
    assert ">&lt;b&gt;&amp;</text>" in svg


def test_the_users_settings_stay_and_do_not_matter(make):
    run, _ = make(layers=3)
    plain = draw.auroc_by_layer(run.results).to_svg()
    with mpl.rc_context({"axes.xmargin": 0.4, "font.size": 30, "svg.fonttype": "path"}):
        assert draw.auroc_by_layer(run.results).to_svg() == plain
        assert mpl.rcParams["font.size"] == 30
        assert mpl.rcParams["svg.fonttype"] == "path"


def test_nothing_is_loaded_before_it_is_used():
    program = (
        "import sys, repalign.reports as reports\n"
        "assert not {'matplotlib', 'jinja2'} & set(sys.modules), 'loaded early'\n"
        "reports.render, reports.projection\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
