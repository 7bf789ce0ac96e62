"""What `convert` and `verify` say about an artifact: lines, a record, a page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from edge_crnn.files import write_atomically

from ..pipeline import Source
from ..report.verification import Outcome, to_json
from ..verify.gate import Readings

_LISTED = 20


def tell(outcome: Outcome, arguments: argparse.Namespace) -> None:
    """Print the verdict on an artifact and the first images that changed."""
    artifact, verification = outcome.artifact, outcome.verification
    print(f"{artifact.path.name}: {verification.summary}")
    for each in verification.parity.sets:
        right = (
            f"right {each.artifact_right / each.images:.2%}, trained model {each.reference_right / each.images:.2%}"
            if each.labelled
            else "no labels"
        )
        print(f"  {each.name}: {each.images:,} images; {right}; same text {each.same_text / each.images:.2%}")
    for change in verification.changes[:_LISTED]:
        path = change.dataset.entries[change.index].path
        reference, found = change.texts(artifact.spec.alphabet)
        print(f"  {path}: trained model {reference!r}, artifact {found!r}")
    if len(verification.changes) > _LISTED:
        more = "" if arguments.page else "; --page FILE shows them"
        print(f"  and {len(verification.changes) - _LISTED} more{more}")
    if verification.parity.verdict == "underpowered":
        print(f"  these images prove an agreement of only {verification.parity.agreement_shown:.2%}; use more images")


def write_results(
    arguments: argparse.Namespace, source: Source, outcomes: Sequence[Outcome], reference: Sequence[Readings]
) -> None:
    """Write the record and the page if the options name them."""
    if arguments.page is None and arguments.results is None:
        return
    record = to_json(source.spec, source.sha256, outcomes, reference, arguments.images_are)
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
