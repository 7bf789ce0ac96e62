"""One HTML page about a verification: the verdict, the images on which the texts differ, a sample of the rest."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from edge_crnn.alphabet import Alphabet
from edge_crnn.artifact import Artifact
from edge_crnn.spec import Parity

from .verify import Change, Readings, Verification

_SAMPLE = 40
_MIME = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".bmp": "bmp", ".webp": "webp"}

_STYLE = """
:root { color-scheme: light dark; --good: #1a7f37; --bad: #c62828; --unsure: #9a6700; --line: #8884; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #ff7b72; --unsure: #d29922 } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
.verdict { border-left: .4rem solid; padding: .5rem 1rem; font-size: 1.1rem }
.pass { border-color: var(--good) } .fail { border-color: var(--bad) } .underpowered { border-color: var(--unsure) }
.wide { overflow-x: auto }
table { border-collapse: collapse }
th, td { text-align: left; padding: .25rem .75rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
th:first-child { font-weight: normal; padding-left: 0 }
td { text-align: right; font-variant-numeric: tabular-nums }
.plates { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 1rem }
figure { margin: 0 } figure img { width: 100%; height: 5rem; object-fit: contain; background: #8882 }
figcaption { font-size: .85rem; overflow-wrap: anywhere } .wrong { color: var(--bad) }
dl { display: grid; grid-template-columns: auto 1fr; column-gap: .5rem; margin: 0 } dt { opacity: .7 } dd { margin: 0 }
"""


def page(artifact: Artifact, verification: Verification, readings: Sequence[Readings]) -> str:
    """The page; it loads nothing from elsewhere.

    Args:
        artifact: what was verified.
        verification: the outcome.
        readings: what the artifact reads, per dataset of `verification.parity.sets`.
    """
    spec, parity = artifact.spec, verification.parity
    alphabet = spec.alphabet
    changes = verification.changes
    changed = "".join(_changed(each, alphabet) for each in changes) or "<p>None.</p>"
    recipe = spec.artifact.recipe if spec.artifact else "?"
    title = f"{escape(artifact.path.name)}: {parity.verdict}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{_STYLE}</style></head><body>
<h1>{escape(spec.name)}, recipe {escape(recipe)}</h1>
<p class="verdict {parity.verdict}"><strong>{parity.verdict}</strong>: {_verdict(parity)}</p>
<div class="wide"><table>{"".join(_rows(parity))}</table></div>
<p>A text is right when all of it is; decoding is greedy. McNemar's exact p is {parity.mcnemar_p:.3g}; the largest
change of a probability is {parity.max_probability_change:.3f}. The artifact has {len(artifact.payload):,} bytes.</p>
<h2>Images that read differently ({len(changes)})</h2><div class="plates">{changed}</div>
<h2>A sample of the rest</h2><div class="plates">{"".join(_sample(verification, readings, alphabet))}</div>
</body></html>
"""


def _verdict(parity: Parity) -> str:
    low, high = parity.agreement_interval
    text = (
        f"the same text on {parity.agreement:.2%} of the images that the trained model reads right"
        f" (95 % interval {low:.2%} to {high:.2%}; gate {parity.gate_agreement:.2%}), accuracy"
        f" {parity.accuracy_change:+.2f} points ({parity.accuracy_change_interval[0]:+.2f} to"
        f" {parity.accuracy_change_interval[1]:+.2f}; gate ±{parity.gate_accuracy:.2f}), on {parity.images:,} images."
    )
    if parity.verdict == "underpowered":
        text += f" That shows an agreement of at least {parity.agreement_shown:.2%}: more images would show more."
    return text


def _rows(parity: Parity) -> Iterator[str]:
    sets = parity.sets
    yield f"<tr><th>{''.join(f'<th>{escape(each.name)}' for each in sets)}</tr>"
    for name, values in (
        ("images", [f"{each.images:,}" for each in sets]),
        ("trained model right", [f"{each.reference_right / each.images:.2%}" for each in sets]),
        ("artifact right", [f"{each.artifact_right / each.images:.2%}" for each in sets]),
        ("same text", [f"{each.same_text / each.images:.2%}" for each in sets]),
        ("same where right", [f"{each.same_where_right:,} of {each.reference_right:,}" for each in sets]),
    ):
        yield f"<tr><th>{name}{''.join(f'<td>{value}' for value in values)}</tr>"


def _changed(change: Change, alphabet: Alphabet) -> str:
    labels = change.truth, change.reference, change.artifact
    lines = []
    for who, label, text in zip(("is", "trained", "artifact"), labels, change.texts(alphabet), strict=True):
        lines.append(f"<dt>{who}</dt><dd{_mark(label == change.truth)}>{_shown(text)}</dd>")
    return _figure(change.dataset.entries[change.index].path, f"<dl>{''.join(lines)}</dl>")


def _sample(verification: Verification, readings: Sequence[Readings], alphabet: Alphabet) -> Iterator[str]:
    changed = {(id(each.dataset), each.index) for each in verification.changes}
    per_set = max(1, _SAMPLE // len(readings))
    for dataset, ours in zip(verification.datasets, readings, strict=True):
        rest = [index for index in range(len(dataset)) if (id(dataset), index) not in changed]
        for index in rest[:: max(1, len(rest) // per_set)][:per_set]:
            label, entry = ours.labels[index], dataset.entries[index]
            text = _shown(alphabet.read(label))
            yield _figure(entry.path, f"<span{_mark(label == entry.label)}>{text}</span><br>")


def _mark(right: bool) -> str:
    return "" if right else ' class="wrong"'


def _shown(text: str) -> str:
    return escape(text) or "<em>nothing</em>"


def _figure(path: Path, caption: str) -> str:
    name = escape(path.name)
    mime = _MIME.get(path.suffix.lower())
    picture = ""
    if mime is not None:  # TIFF and PNM are shown by no browser
        data = base64.b64encode(path.read_bytes()).decode()
        picture = f'<img alt="{name}" src="data:image/{mime};base64,{data}">'
    return f"<figure>{picture}<figcaption>{caption}<small>{name}</small></figcaption></figure>"
