"""Train ten small networks on rendered lines, each with another convention, in 40 minutes on one core.

For each of them there is a folder with what its owner would have: the model as Keras saves it, without a spec, and
images; and with what `edge-crnn spec` is to find out: `truth.json`.

    python -m benchmarks.conventions.train FOLDER                      # trains all ten
    python -m benchmarks.conventions.train FOLDER --networks captcha   # one of them
    python -m benchmarks.conventions.train FOLDER --images             # writes the images anew, and trains nothing
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from converters.reference.engine import import_keras2
from edge_crnn.dataset import LABELS
from edge_crnn.training.degrade import Image
from edge_crnn.training.loss import ctc_loss, pack
from edge_crnn.training.optimisers import make_optimiser

from .lines import render_lines
from .networks import captcha_with_loss, kaggle_with_loss
from .table import NETWORKS, Network

BATCH = 64
TRAINING_SEED, VERIFY_SEED, CALIBRATION_SEED, LABELLED_SEED = 9000, 9001, 9002, 9003
LABELLED, VERIFY, CALIBRATION = 50, 3000, 100
"""The numbers of images in `labels50`, `verify` and `calibration`. A conversion may change 2 of 3,000 and pass."""
TRUTH, RESULTS = "truth.json", "results.json"

Batch: TypeAlias = tuple[npt.NDArray[np.float32], list[str]]
"""Images as a network takes them, (N, …), and their labels."""


def train(name: str, folder: Path, steps: int | None = None, lines: int | None = None) -> dict[str, float]:
    """Train a network, save it in `folder` with its images, and return the share of `verify` that it reads.

    `model.keras` or `model.h5`, `labels50`, `verify`, `calibration`, `truth.json` and `results.json` are written.
    """
    keras.utils.set_random_seed(1)
    network, steps = NETWORKS[name], steps or NETWORKS[name].steps
    verify = write_images(network, folder)
    begun = time.monotonic()
    images, labels = _prepared(network, render_lines(network.style, lines or network.lines, TRAINING_SEED))
    drawn = time.monotonic()
    model = network.build(network.classes)
    print(f"{name}: {model.count_params():,} weights, {steps} steps, rendered in {drawn - begun:.0f} s", flush=True)
    batches = _batches(images, labels, steps)
    if name == "kaggle":
        _train_keras2(model, network, batches, steps, folder)
    else:
        _train_keras3(model, network, batches, steps, folder)
    seconds = time.monotonic() - drawn
    right = exact(network, model, verify[0], verify[1])
    results = {"weights": model.count_params(), "exact": right, "seconds": round(seconds, 1), "steps": steps}
    (folder / RESULTS).write_text(json.dumps(results) + "\n", encoding="utf-8")
    print(f"{name}: reads {right:.2%} of {len(verify[1])}, trained in {seconds:.0f} s", flush=True)
    return results


def write_images(network: Network, folder: Path) -> tuple[npt.NDArray[np.float16], list[str]]:
    """Write the three folders of images and the truth, and return `verify` as the network takes it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TRUTH).write_text(json.dumps(network.truth(), indent=1) + "\n", encoding="utf-8")
    runs = {
        "labels50": (LABELLED, LABELLED_SEED),
        "calibration": (CALIBRATION, CALIBRATION_SEED),
        "verify": (VERIFY, VERIFY_SEED),
    }
    for part, (count, seed) in runs.items():
        drawn = list(render_lines(network.style, count, seed))
        (folder / part).mkdir(exist_ok=True)
        rows = []
        for index, (pixels, label) in enumerate(drawn):
            rows.append((f"{index:04d}.png", label))
            (folder / part / rows[-1][0]).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        if part != "calibration":
            with (folder / part / LABELS).open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([("image", "label"), *rows])
    return _prepared(network, iter(drawn))


def exact(network: Network, model: Any, images: npt.NDArray[np.floating], labels: Sequence[str]) -> float:
    """Return the share of prepared images, (N, …), that the network reads correctly by the best path."""
    output = np.concatenate([
        np.asarray(model(images[start : start + 200].astype(np.float32), training=False))
        for start in range(0, len(images), 200)
    ])  # fmt: skip
    letters = dict(zip(network.classes_of_symbols, network.style.alphabet, strict=True))
    best = output[:, network.skip_steps :].argmax(-1)
    right = 0
    for path, label in zip(best, labels, strict=True):
        changed = path[np.append(True, path[1:] != path[:-1])]
        right += "".join(letters.get(int(index), "") for index in changed) == label
    return right / len(labels)


def _train_keras3(model: Any, network: Network, batches: Iterator[Batch], steps: int, folder: Path) -> None:
    ctc = ctc_loss(network.blank, network.skip_steps)

    def loss(packed: Any, output: Any) -> Any:
        return ctc(packed, output if network.logits else ops.log(output + 1e-7))

    model.compile(optimizer=make_optimiser("adamw", network.rate, steps), loss=loss, jit_compile=False)
    longest = network.style.length[1]
    for step, (images, labels) in enumerate(batches, 1):
        packed = pack([network.encode(label) for label in labels], model.output_shape[1], longest)
        _tell(model.name, step, model.train_on_batch(images, packed))
    saved = captcha_with_loss(model) if model.name == "captcha" else keras.Model(model.inputs, model.outputs)
    saved.save(folder / "model.keras")


def _train_keras2(model: Any, network: Network, batches: Iterator[Batch], steps: int, folder: Path) -> None:
    _, keras2 = import_keras2()
    longest = network.style.length[1]
    whole = kaggle_with_loss(model, longest)
    rate = keras2.optimizers.schedules.CosineDecay(network.rate, steps, alpha=0.01)
    whole.compile(loss={"ctc": lambda _, y_pred: y_pred}, optimizer=keras2.optimizers.Adam(rate))
    for step, (images, labels) in enumerate(batches, 1):
        packed = pack([network.encode(label) for label in labels], 40 - network.skip_steps, longest)
        lengths = np.full((len(labels), 1), 40 - network.skip_steps)
        inputs = [images, packed[:, 1:].astype(np.float32), lengths, packed[:, :1]]
        _tell("kaggle", step, whole.train_on_batch(inputs, np.zeros(len(labels))))
    whole.save(folder / "model.h5")


def _tell(name: str, step: int, loss: Any) -> None:
    if step % 100 == 0:
        print(f"{name}: step {step}, loss {float(loss):.3f}", flush=True)


def _batches(images: npt.NDArray[np.float16], labels: Sequence[str], steps: int) -> Iterator[Batch]:
    rng = np.random.default_rng(TRAINING_SEED)
    order: npt.NDArray[np.intp] = np.empty(0, np.intp)
    for _ in range(steps):
        if len(order) < BATCH:
            order = rng.permutation(len(labels))
        chosen, order = order[:BATCH], order[BATCH:]
        yield images[chosen].astype(np.float32), [labels[index] for index in chosen]


def _prepared(network: Network, drawn: Iterator[tuple[Image, str]]) -> tuple[npt.NDArray[np.float16], list[str]]:
    """Return images as the network takes them, in half the memory, and their labels."""
    images, labels = [], []
    for pixels, label in drawn:
        images.append(network.prepare(pixels).astype(np.float16))
        labels.append(label)
    return np.stack(images), labels


def main() -> None:
    """Train the networks that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="for a folder of each network")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--steps", type=int, help="batches to train with (default: each network's own)")
    parser.add_argument("--lines", type=int, help="lines to render and train with (default: each network's own)")
    parser.add_argument("--images", action="store_true", help="write the images and the truth alone")
    args = parser.parse_args()
    for name in args.networks:
        if args.images:
            write_images(NETWORKS[name], args.folder / name)
        else:
            train(name, args.folder / name, args.steps, args.lines)


if __name__ == "__main__":
    main()
