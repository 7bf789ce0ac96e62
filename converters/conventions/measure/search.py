"""The search for the preparation and the spelling with which a network reads images best: coarse to fine.

All combinations of the dimensions that depend on each other are tried on few images, and the better combinations on
more. Then the best combination is changed in one dimension at a time, until nothing is better. All images settle the
choices that are still open.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from edge_crnn.errors import VerificationError
from edge_crnn.model.spec import InputSpec
from edge_crnn.progress import progress

from .choices import Choice, Dimension, apply, choices
from .judges import Declared, Judge, Scored
from .spelling import Spelling, skips
from .trials import Trials

_ROUNDS = ((4, 48), (10, 12), (24, 4))
"""Numbers of images of a coarse round, and of combinations that it keeps."""
_FIRST_ROUND_S = 20.0
"""Seconds that the first round may take; with a slow network it uses fewer images, at least 2."""
_SWEEPS = 2
_FEW = 12
"""Number of images that show a convention to be far from the best."""
_FAR = 2.0
"""Difference in the mean log-likelihood that is far."""
_COARSE: tuple[Dimension, ...] = ("colour", "pixels", "invert", "orientation", "resize", "padding", "interpolation")
_FINE: tuple[Dimension, ...] = (
    "resize", "padding", "interpolation", "rounding", "odd pixel", "pixels", "invert", "orientation", "colour",
)  # fmt: skip
_SEARCHED = 50
"""Number of images to search on; all images settle the choices that these leave open."""


class Search:
    """A search over the conventions of one network."""

    def __init__(self, trials: Trials, judge: Judge, start: InputSpec, declared: Declared) -> None:
        """Prepare a search.

        Args:
            trials: the network, and the images.
            judge: the judge of the network's output.
            start: a spec of the network's shape with all declarations.
            declared: the facts that need not be measured.
        """
        self._trials = trials
        self._judge = judge
        self._start = start
        self._declared = declared
        self._count = min(_SEARCHED, len(trials.images))
        self._scored: dict[tuple[InputSpec, Spelling, int], Scored] = {}

    def best(self) -> Scored:
        """Find the convention that reads best.

        Raises:
            VerificationError: no convention reads anything.
        """
        finalists = self._coarse()
        spelling = self._spelling(finalists)
        best = max((self.scored(image, spelling) for image in finalists), key=lambda scored: scored.score)
        for _ in range(_SWEEPS):
            before = best.image
            for name in _FINE:
                best = max([best, *self.around(best, name).values()], key=_full_score)
            best = self._best_skip(best)
            if best.image == before:
                break
        self._count = len(self._trials.images)
        table = self._trials.probabilities(best.image, self._count)
        spelling = self._judge.spelling(table, best.spelling.blank, best.spelling.skip_steps)
        best = self.scored(best.image, spelling)
        for name in _FINE:
            best = max([best, *self.around(best, name).values()], key=_full_score)
        for name in _FINE:
            best = self._simplest(best, name)
        return self._best_skip(best)

    def _simplest(self, best: Scored, name: Dimension) -> Scored:
        """Return the first choice in a dimension that is almost as likely as the best; usual choices come first."""
        options = self.around(best, name).values()
        return next((scored for scored in options if scored.is_as_likely_as(best)), best)

    def around(self, best: Scored, name: Dimension) -> Mapping[str, Scored]:
        """Score the conventions that differ from the best in one dimension, by the name of the choice.

        A way of placing the image is combined with its best padding.
        """
        return {
            choice.name: max(
                (self.scored(image, best.spelling, best) for image in self._padded(apply(best.image, choice), name)),
                key=_full_score,
            )
            for choice in self._open(name, best.image)
        }

    def _padded(self, image: InputSpec, name: Dimension) -> Sequence[InputSpec]:
        paddings = self._open("padding", image) if name == "resize" else ()
        return list(dict.fromkeys([image, *(apply(image, padding) for padding in paddings)]))

    def around_skip(self, best: Scored) -> Mapping[str, Scored]:
        """Score the conventions that differ from the best in the number of skipped steps."""
        steps = self._trials.probabilities(best.image, 1).shape[1]
        counts = skips(steps, self._declared.skip_steps)
        return {str(count): self.scored(best.image, replace(best.spelling, skip_steps=count)) for count in counts}

    def scored(self, image: InputSpec, spelling: Spelling, best: Scored | None = None) -> Scored:
        """Score a convention on all images, or on the first few if these show that it is far from the best."""
        key = image, spelling, self._count
        if key not in self._scored:
            few = self._judged(image, spelling, min(_FEW, self._count))
            if best is not None and few.score < float(best.log_likelihoods[:_FEW].mean()) - _FAR:
                return few
            self._scored[key] = self._judged(image, spelling, self._count)
        return self._scored[key]

    def _judged(self, image: InputSpec, spelling: Spelling, count: int) -> Scored:
        return self._judge.scored(image, spelling, self._trials.probabilities(image, count))

    def _best_skip(self, best: Scored) -> Scored:
        """Return the smallest number of skipped steps that is almost as likely as the best."""
        options = [*self.around_skip(best).values()]
        likeliest = max(options, key=lambda scored: scored.score)
        return next(scored for scored in options if scored.is_as_likely_as(likeliest))

    def _open(self, name: Dimension, image: InputSpec) -> Sequence[Choice]:
        """Return the choices of a dimension that the declared settings leave open."""
        if name in ("padding", "rounding", "odd pixel") and image.resize == "stretch":
            return []
        if name == "rounding" and image.resize == "paste":
            return []
        if name == "odd pixel" and "centre" not in (image.align, image.align_vertical):
            return []
        return [
            choice
            for choice in choices(name, image, self._declared.step_axis)
            if self._is_open(choice, image) and (choice.coarse or _is_near(choice, image))
        ]

    def _is_open(self, choice: Choice, image: InputSpec) -> bool:
        """Check that a choice agrees with the declarations."""
        return all(
            field not in self._declared.settings or getattr(image, field) == value
            for field, value in choice.settings.items()
        )

    def _coarse(self) -> list[InputSpec]:
        images = list(self._combinations())
        for round_, (most, kept) in enumerate(_ROUNDS):
            count = min(most, self._count)
            if round_ == 0:
                count = min(count, max(2, int(_FIRST_ROUND_S / (self._seconds(images[0]) * len(images)))))
            scores = [
                self._judge.coarse(self._trials.probabilities(image, count))[0]
                for image in progress(images, len(images), f"trying on {count} images")
            ]
            order = sorted(range(len(images)), key=lambda place: -scores[place])
            images = [images[place] for place in order[:kept]]
        return images

    def _seconds(self, image: InputSpec) -> float:
        """Measure the seconds that an image takes."""
        count = min(4, self._count)
        started = time.perf_counter()
        self._trials.probabilities(image, count)
        return (time.perf_counter() - started) / count

    def _combinations(self) -> Iterator[InputSpec]:
        """Yield all coarse combinations, the simple ones first."""
        images = [self._start]
        for name in _COARSE:
            images = [apply(image, choice) for image in images for choice in self._coarse_choices(name, image)]
        yield from dict.fromkeys(images)

    def _coarse_choices(self, name: Dimension, image: InputSpec) -> Sequence[Choice]:
        left = self._open(name, image)
        return [choice for choice in left if choice.coarse] or left[:1] or [Choice("declared", {})]

    def _spelling(self, finalists: Sequence[InputSpec]) -> Spelling:
        """Return the spelling of the finalist that reads best."""
        tables = [self._trials.probabilities(image, self._count) for image in finalists]
        scores = [self._judge.coarse(table) for table in tables]
        place = max(range(len(scores)), key=lambda index: scores[index][0])
        score, blank, skip = scores[place]
        if score < self._judge.reads:
            raise VerificationError(
                f"no usual convention reads the images: the best explains {max(score, 0):.0%} of their characters;"
                " check the labels, or declare what is unusual"
            )
        return self._judge.spelling(tables[place], blank, skip)


def _is_near(choice: Choice, image: InputSpec) -> bool:
    """Check that a finer choice is tried beside an image: other alignments only with the same way of resizing."""
    return bool(choice.settings.get("resize", image.resize) == image.resize)


def _full_score(scored: Scored) -> tuple[int, float]:
    """Return a sort key that puts conventions tried on all images first."""
    return len(scored.right), scored.score
