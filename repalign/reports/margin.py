"""Margin: dashed lines of controls, named beside a figure without overlap."""

from collections.abc import Sequence
from typing import Any

from repalign.metrics import Estimate
from repalign.reports.drawing import MUTED
from repalign.reports.numbers import shortened

_DASHES = ((0, (5, 2)), (0, (1, 1.5)), (0, (7, 2, 1, 2)), (0, (3, 3)))
_LINE_INCHES = 0.16


def control_lines(
    axes: Any, controls: Sequence[tuple[str, Estimate]], height_inches: float
) -> None:
    """Dashed lines named at the right, the names moved apart where lines lie close."""
    bottom, top = axes.get_ylim()
    ordered = sorted(controls, key=lambda control: control[1].value)
    gap = (top - bottom) * _LINE_INCHES / height_inches
    heights = apart([found.value for _, found in ordered], gap, bottom)
    across = axes.get_yaxis_transform()
    for number, ((name, found), height) in enumerate(zip(ordered, heights, strict=True)):
        dash = _DASHES[number % len(_DASHES)]
        axes.axhline(found.value, color=MUTED, linestyle=dash, linewidth=1)
        leader = {"color": MUTED, "linewidth": 0.5, "clip_on": False, "transform": across}
        axes.plot([1.0, 1.025], [found.value, height], **leader)
        look = {"transform": across, "va": "center", "fontsize": 8, "color": MUTED}
        axes.text(1.03, height, shortened(name), **look)


def apart(values: Sequence[float], gap: float, bottom: float) -> list[float]:
    """Heights near ascending values that are at least a gap apart and not under the bottom.

    Names that touch are stacked around the middle of their lines.
    """
    stacks: list[list[float]] = []
    for value in values:
        stacks.append([value])
        while len(stacks) > 1 and _ends(stacks[-1], gap)[0] < _ends(stacks[-2], gap)[1] + gap:
            stacks[-2:] = [stacks[-2] + stacks[-1]]
    heights, floor = [], bottom
    for stack in stacks:
        start = max(_ends(stack, gap)[0], floor)
        heights += [start + gap * step for step in range(len(stack))]
        floor = heights[-1] + gap
    return heights


def _ends(stack: Sequence[float], gap: float) -> tuple[float, float]:
    half = gap * (len(stack) - 1) / 2
    middle = sum(stack) / len(stack)
    return middle - half, middle + half
