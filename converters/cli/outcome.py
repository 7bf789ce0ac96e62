"""Shows the verdict of `convert` and `verify` on an artifact: lines, a record, and a page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from edge_crnn.files import write_atomically
from edge_crnn.model.spec import ParitySet

from ..pipeline import Source
from ..report.verification import Outcome, to_json
from ..verify.gate import Readings

_LISTED = 20


def tell(outcome: Outcome, arguments: argparse.Namespace) -> None:
    """Print the verdict on an artifact and the first images that changed."""
    artifact, verification = outcome.artifact, outcome.verification
    print(f"{artifact.path.name}: {verification.summary}")
    if artifact.spec.teacher is not None:
        print(f"  {artifact.spec.teacher.headline}")
    for image_set in verification.parity.sets:
        print(f"  {_summary(image_set)}")
    for change in verification.changes[:_LISTED]:
        path = change.dataset.entries[change.index].path
        trained, converted = change.texts(artifact.spec.alphabet)
        print(f"  {path}: trained model {trained!r}, artifact {converted!r}")
    if len(verification.changes) > _LISTED:
        more = "" if arguments.page else "; --page FILE shows them"
        print(f"  and {len(verification.changes) - _LISTED} more{more}")
    if verification.parity.verdict == "underpowered":
        print(f"  these images prove an agreement of only {verification.parity.agreement_shown:.2%}; use more images")


def _summary(counts: ParitySet) -> str:
    right = "no labels"
    if counts.labelled:
        artifact, reference = (right / counts.images for right in (counts.artifact_right, counts.reference_right))
        right = f"correct {artifact:.2%}, trained model {reference:.2%}"
    return f"{counts.name}: {counts.images:,} images; {right}; same text {counts.same_text / counts.images:.2%}"


def write_results(
    arguments: argparse.Namespace, source: Source, outcomes: Sequence[Outcome], reference: Sequence[Readings]
) -> None:
    """Write the record and the page if the options name them."""
    if arguments.page is None and arguments.results is None:
        return
    trained = source.reference
    record = to_json(trained.spec, trained.sha256, outcomes, reference, arguments.images_are)
    if arguments.results is not None:
        write_atomically(arguments.results, record.encode())
        print(f"wrote {arguments.results}: the results")
    if arguments.page is not None:
        from edge_crnn.records.record import from_json

        from ..report.compose import compose  # most runs write no page
        from ..report.page import page

        origin = str(arguments.results or "this run")
        write_atomically(arguments.page, page(compose([from_json(record, origin)])).encode())
        print(f"wrote {arguments.page}: the images that changed")
