"""The boundary of sampled answers, as figures and items."""

import json
from pathlib import Path

from respondents import Scripted

from repalign.evaluation import Setting, boundary
from repalign.examples import Example


def test_shares_of_right_samples_become_figures_and_items(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    rows = [{"question": f"{name}?", "answer": name} for name in ("Ann", "Bob", "Cid")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    count = {"Ann?": 0, "Bob?": 0}

    def says(prompt: Example) -> str | None:
        words = prompt.messages[-1].content
        if words == "Cid?":
            return None
        count[words] += 1
        # Ann is right in every second answer, Bob never.
        return "Ann" if words == "Ann?" and count[words] % 2 else "Zoe"

    found = boundary.evaluate(
        Setting(Scripted(says), tmp_path / "run", data=(str(path),), samples=4)
    )
    values = {name: one.value for name, one in found.figures.items() if one}
    assert values["known at 0.1"] == 0.5
    assert values["expected accuracy"] == 0.25
    assert values["greedy accuracy"] == 0.5
    assert found.counts == {"unanswered": 1}
    assert [item.scores["expected accuracy"] for item in found.items] == [0.5, 0.0]
