"""`edge-crnn export`: writes a model for a server that runs it, and compares such a server with the model."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..board.limits import usable_processes
from ..bounds import N_BEST
from ..conversion import convert
from ..errors import InputError, VerificationError
from ..model.artifact import TRAINED, Artifact
from ..progress import note, progress
from ..reader import MOST, load, open_reader
from ..scale.triton.client import Client
from ..scale.triton.repository import Serving, write_repository
from ..terminal import printable
from .command import Command, at_least, between, share
from .folders import add_recursive_argument
from .read import images_of

_KIND = "triton"
_MOST_BATCH = 4096
_note = partial(note, program="edge-crnn export")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `export`."""
    parser.add_argument(
        "model", metavar="MODEL", help="a converted model, the name of a model such as plates, or a trained model"
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        "--to",
        nargs=2,
        metavar=(_KIND, "REPOSITORY"),
        help="write the model into this model repository of Triton Inference Server, which may be new",
    )
    target.add_argument(
        "--verify",
        metavar="URL",
        help="compare what the server at this URL reads in --images with what the model reads here; print each image"
        " with another text, with the texts of the server and of the model",
    )
    parser.add_argument("--name", metavar="NAME", help="name of the model on the server (default: that of the file)")
    parser.add_argument(
        "--images",
        nargs="+",
        default=[],
        metavar="IMAGE|DIR",
        help="images for --verify; for a trained model, folders of images to convert it with",
    )
    add_recursive_argument(parser)
    parser.add_argument(
        "--instances",
        type=at_least(1, MOST),
        metavar="N",
        help="processes that read, each on one core (default: one per usable core of this machine; with --gpu: 1)",
    )
    parser.add_argument("--gpu", action="store_true", help="run with TensorRT, with these processes for every GPU")
    parser.add_argument(
        "--batch",
        type=at_least(1, _MOST_BATCH),
        default=64,
        metavar="N",
        help="maximum number of images that are read together (default: 64)",
    )
    parser.add_argument(
        "--delay",
        type=between(0, 1000),
        default=2.0,
        metavar="MS",
        help="longest time that an image waits for others, in milliseconds (default: 2)",
    )
    parser.add_argument(
        "--min-confidence",
        type=share,
        metavar="P",
        help="reject readings whose confidence is below P, instead of below the model's own threshold",
    )
    parser.add_argument("--grammar", metavar="GRAMMAR", help="grammar that every text must match, as for read")
    parser.add_argument(
        "--n-best", type=at_least(*N_BEST), default=1, metavar="N", help="number of texts per image (default: 1)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the repository; or compare a server with the model, and return 3 if a text differs."""
    if arguments.verify is not None:
        return _verify(arguments)
    kind, repository = arguments.to
    if kind != _KIND:
        raise InputError(f"found --to {kind}, expected --to {_KIND} REPOSITORY")
    folder = Path(repository)
    options = _reader_options(arguments)
    with _artifact(arguments) as artifact:
        serving = Serving(
            instances=arguments.instances or (1 if arguments.gpu else usable_processes(len(artifact.payload))),
            gpus=arguments.gpu,
            batch=arguments.batch,
            delay_s=arguments.delay / 1000,
            reader=options,
        )
        if not arguments.gpu and artifact.path.suffix != ".engine":
            with open_reader(artifact, workers=1, **options):  # reports wrong options now, not on the server
                pass
        for model in write_repository(artifact, folder, _name(arguments), serving):
            print(printable(model))
    _note(f"next: tritonserver --model-repository {folder.absolute()}")
    return 0


@contextlib.contextmanager
def _artifact(arguments: argparse.Namespace) -> Iterator[Artifact]:
    """Yield the converted model; a trained one is converted to ONNX.

    Raises:
        VerificationError: the converted model does not read the same text.
        EdgeCrnnError: see `load` and `convert`.
    """
    path = Path(arguments.model)
    if path.suffix not in TRAINED:
        yield load(arguments.model)
        return
    with tempfile.TemporaryDirectory(prefix="edge-crnn-") as folder:
        result = convert(path, Path(folder) / f"{path.stem}.onnx", images=arguments.images)
        _note(str(result))
        if not result.written:
            raise VerificationError(f"{path}: the converted model reads other texts; see edge-crnn convert {path}")
        yield result.artifact


def _verify(arguments: argparse.Namespace) -> int:
    if not arguments.images:
        raise InputError("found --verify without images, expected some to compare; add --images DIR")
    artifact = load(arguments.model)
    images = list(images_of(arguments.images, arguments.recursive))
    with (
        Client(arguments.verify, _name(arguments), say=_note) as client,
        open_reader(artifact, **_reader_options(arguments)) as reader,
    ):
        _check_same(client, artifact)
        there, here = (source.read_each([image for _, image in images]) for source in (client, reader))
        changed = 0
        for (path, _), *results in progress(zip(images, there, here, strict=True), len(images), "comparing"):
            texts = [printable(result) for result in results]
            if texts[0] != texts[1]:
                changed += 1
                print("\t".join([printable(path), *texts]))
    _note(f"{client.url}: same text for {len(images) - changed:,} of {len(images):,} images")
    return 3 if changed else 0


def _check_same(client: Client, artifact: Artifact) -> None:
    """Check that the server has this artifact.

    Raises:
        VerificationError: it has another.
    """
    assert artifact.spec.artifact is not None  # `load` sees to it
    here = artifact.spec.artifact.payload_sha256
    there = client.facts().get("sha256", "none")
    if there != here:
        raise VerificationError(
            f"{client.url}: its model has SHA-256 {there[:12]}…, {artifact.path.name} has {here[:12]}…; export it again"
        )


def _name(arguments: argparse.Namespace) -> str:
    return str(arguments.name or Path(arguments.model).stem)


def _reader_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `open_reader` that differ from its defaults."""
    chosen = {
        "min_confidence": arguments.min_confidence,
        "grammar": arguments.grammar,
        "n_best": arguments.n_best if arguments.n_best > 1 else None,
    }
    return {option: value for option, value in chosen.items() if value is not None}


COMMAND = Command(
    "write a model for Triton Inference Server",
    add_arguments,
    run,
    details="Writes a model repository. Its model NAME takes image files or pixels and gives the text, the label, the"
    " confidence and whether the reading is accepted; it runs in Triton's Python backend, whose Python needs edge-crnn."
    " For an .onnx or .engine, NAME_network is the network alone, which gives probabilities.",
    examples=(
        "export plates --to triton repository",
        "export plates.onnx --to triton repository --name gate --instances 4",
        "export plates --verify http://server:8000 --images samples/plates",
    ),
)
