"""Wording: what the numbers of a probe run say, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from repalign.metrics import Estimate
from repalign.reports.numbers import estimate, interval, percent, score
from repalign.runs import Run
from repalign.sites import Site

CONTROLS = {
    "shuffled": "shuffled labels",
    "random_direction": "random direction",
    "bag_of_words": "bag of words",
    "length": "length",
}
CONTROL_NOTES = {
    "shuffled": "the same probe and site, labels shuffled 20 times: must be near 0.5",
    "random_direction": "a direction drawn by chance at this site: what is reached without fitting",
    "bag_of_words": "the words alone, without the model: a high value means that wording tells",
    "length": "the length of the text alone",
}
# What label 1 and label 0 are, by the first word that a data card's meaning of the label holds.
_CONTRASTS = (
    ("honest", "honest from dishonest"),
    ("true", "true from false"),
    ("right", "right from wrong answers"),
)


def answer(run: Run) -> str:
    """The answer to *where, and how surely?* in one sentence, no stronger than its interval.

    Args:
        run: a probe run.
    """
    best = run.results["best"]
    found, shuffled = estimate(best["auroc"]), estimate(_controls(run).get("shuffled"))
    assert found is not None
    tells = "tells" if beats(found, shuffled) else "does not surely tell"
    site = Site.parse(best["site"])
    where = f"layer {site.layer}" + ("" if site.stream == "resid_post" else f" ({site.stream})")
    against = f"; with shuffled labels {interval(shuffled, 2)}" if shuffled else ""
    return (
        f"On {best['data']}, the {best['probe']} probe at {where} {tells} "
        f"{_contrast(run)} with AUROC {interval(found, 2)}{against}."
    )


def cautions(run: Run) -> list[str]:
    """What a reader must know before believing the answer."""
    found = estimate(run.results["best"]["auroc"])
    assert found is not None
    said = []
    failed = [check["name"] for check in run.model.get("checks") or [] if not check["passed"]]
    if failed:
        said.append(
            f"The model fails {len(failed)} self-check(s) ({', '.join(failed)}): numbers read from "
            "it may mean something else."
        )
    for name in ("bag_of_words", "length", "random_direction"):
        control = estimate(_controls(run).get(name))
        if control is not None and not beats(found, control):
            said.append(
                f"The interval of the control “{CONTROLS[name]}”, {interval(control, 2)}, reaches "
                "that of the probe, so this run does not show that the probe reads more than that."
            )
    transfer = run.results.get("transfer") or {}
    turned = [topic for topic, record in transfer.items() if record and record.get("flipped")]
    if turned:
        said.append(
            f"The direction points the wrong way on {', '.join(turned)}: there, or for one "
            "polarity there, it ranks label 0 above label 1."
        )
    return said


def beats(found: Estimate, control: Estimate | None) -> bool:
    """Whether an interval lies wholly above another, or above 0.5 where there is no other."""
    return found.low > (0.5 if control is None else control.high)


def chosen(best: Mapping[str, Any]) -> str:
    """How often each site and probe was chosen, or nothing."""
    counts = best.get("chosen") or {}
    if not counts:
        return ""
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    parts = ", ".join(f"{name} in {count}" for name, count in ordered)
    return (
        f"Site and probe were chosen inside each of {total} outer folds and judged on texts that "
        f"the choice did not see: {parts} of {total}."
    )


def pooled(record: Mapping[str, Any]) -> str:
    """What pooling topics gains over the best topic alone."""
    best = record["best_single"]
    difference = estimate(record["difference"])
    verdict = "does not differ surely from"
    if difference is not None and difference.low > 0:
        verdict = "is better than"
    if difference is not None and difference.high < 0:
        verdict = "is worse than"
    return (
        f"A direction pooled over topics {verdict} the best direction of one topic "
        f"({best['topic']}): the difference is {interval(difference)} on average over the same "
        "left-out topics."
    )


def thresholds(results: Mapping[str, Any]) -> list[str]:
    """One sentence for each threshold."""
    every = list(results.get("thresholds") or [])
    if not every and results.get("threshold"):
        every = [results["threshold"]]
    return [_threshold(record) for record in every]


def polarities(transfer: Mapping[str, Mapping[str, Any] | None]) -> Sequence[str]:
    """The polarities that occur in any topic, in the order in which they come."""
    names: dict[str, None] = {}
    for record in transfer.values():
        names.update(dict.fromkeys((record or {}).get("by_polarity") or {}))
    return list(names)


def _threshold(record: Mapping[str, Any]) -> str:
    value, fpr = score(estimate(record["value"])), percent(estimate(record["fpr"]))
    recall = percent(estimate(record["recall"]))
    return (
        f"Allowing {100 * record['target_fpr']:g}% false alarms: texts that score below {value} "
        f"are flagged. That flags {fpr} of the benign chats and catches {recall} of the dishonest "
        "or false texts."
    )


def _controls(run: Run) -> Mapping[str, Any]:
    return run.results.get("controls") or {}


def _contrast(run: Run) -> str:
    card = (run.data.get(run.results["best"]["data"]) or {}).get("card") or {}
    meaning = str(card.get("label_meaning") or "").lower()
    for word, contrast in _CONTRASTS:
        if word in meaning:
            return contrast
    return "label 1 from label 0"
