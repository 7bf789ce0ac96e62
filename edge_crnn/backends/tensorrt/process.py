"""Builds an engine artifact from an ONNX artifact in a separate process.

That process can be stopped at any moment, and a crash of TensorRT's libraries ends only that process. It writes no
engine: the calling process puts its result in place, completely or not at all.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ... import __version__
from ...errors import ArtifactError, BackendError, EdgeCrnnError
from ...files import require_place
from ...model.artifact import Artifact, save
from ...progress import steps
from .build import MODULES, BuildOptions, Built, build, import_tensorrt

TIMEOUT_S = 1800.0
"""Default time limit of a build, which takes minutes on a small board."""

_CHILD = """
import json, sys
wish = json.loads(sys.argv[1])
sys.path[:] = wish.pop("path")
from edge_crnn.backends.tensorrt import process
process.serve(**wish)
"""
_PR_SET_PDEATHSIG = 1


def is_there() -> bool:
    """Return whether any TensorRT is installed."""
    return any(find_spec(name) is not None for name in MODULES)


def make_engine(
    onnx: Artifact, target: Path, options: BuildOptions | None = None, timeout: float = TIMEOUT_S
) -> Artifact:
    """Build an engine from an `.onnx` and write it to `target`, with its spec beside it.

    Args:
        onnx: an artifact of `edge-crnn convert --to onnx`.
        target: the path NAME.engine.
        options: the options of the build.
        timeout: seconds after which the build is stopped.

    Raises:
        BackendUnavailable: TensorRT is not installed.
        BackendError: the build failed, took too long, or gave an engine of another precision than requested; or the
            `.onnx` has layers with their own precision.
        OutputError: `target`, or a file that the options name, cannot be written.
    """
    facts = onnx.spec.artifact
    assert facts is not None  # `load` and `save` see to it
    options = options or BuildOptions()
    half = facts.recipe.startswith("float16")
    if half and facts.float_layers:
        raise BackendError(
            f"{onnx.path.name}: keeps {', '.join(facts.float_layers)} in float32, which cannot be checked in an engine;"
            " convert it without --float, or with --recipe float16-mixed or float32"
        )
    for place in filter(None, (target, options.timing_cache, options.log)):
        require_place(place)
    if not is_there():
        import_tensorrt()  # raises the error that says what is missing
    built = _build_apart(onnx, target.name, half, options, timeout)
    tools = {
        **facts.tools,
        "edge-crnn": __version__,
        "engine": built.version,
        **({} if built.gpu is None else {"gpu": built.gpu}),
        "precision": built.precision,
        "onnx sha256": facts.payload_sha256,
        **_recorded(options),
    }
    described = replace(facts, format="engine", batch=options.batches[2], tools=tools)
    # Parity and confidences belong to another file.
    return save(target, built.plan, replace(onnx.spec, artifact=described, parity=None, confidence=None))


def _recorded(options: BuildOptions) -> dict[str, str]:
    """Return the build options that an engine depends on."""
    tools = {"batches": " ".join(map(str, options.batches)), "workspace": str(options.workspace)}
    sources = options.tactic_sources
    return tools if sources is None else {**tools, "tactic sources": " ".join(sources)}


def options_of(engine: Artifact) -> BuildOptions:
    """Read the options that an engine was built with from its spec.

    Raises:
        ArtifactError: the spec lacks them, because it is too old or was written by another program.
    """
    facts = engine.spec.artifact
    assert facts is not None  # `load` and `save` see to it
    try:
        fewest, tuned, most = map(int, facts.tools["batches"].split())
        workspace = int(facts.tools["workspace"])
    except (KeyError, ValueError) as error:
        raise ArtifactError(
            f"{engine.path}: its spec does not state the batches and the memory that it was built with; build it"
            f" again: edge-crnn build-engine NAME.onnx -o {engine.path}"
        ) from error
    sources = facts.tools.get("tactic sources")
    return BuildOptions(
        (fewest, tuned, most), workspace, tactic_sources=None if sources is None else tuple(sources.split())
    )


def _build_apart(onnx: Artifact, name: str, half: bool, options: BuildOptions, timeout: float) -> Built:
    wish = {
        "path": [entry for entry in sys.path if isinstance(entry, str)],
        "parent": os.getpid(),
        "name": name,
        "half": half,
        "options": {key: str(value) if isinstance(value, Path) else value for key, value in asdict(options).items()},
    }
    command = [sys.executable, "-c", _CHILD, json.dumps(wish)]
    try:
        ended = subprocess.run(
            command, input=onnx.payload, stdout=subprocess.PIPE, stderr=_stderr(), timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"{name}: not built within {timeout:g} s and stopped; give it more time") from error
    if ended.returncode < 0:
        raise BackendError(f"{name}: the build was killed by {signal.Signals(-ended.returncode).name}")
    head, _, plan = ended.stdout.partition(b"\n")
    if ended.returncode > 0 or not head:
        raise BackendError(f"{name}: the build ended with status {ended.returncode} and no message")
    answer = json.loads(head)
    if "error" in answer:
        raise BackendError(f"{name}: {answer['error']}")
    return Built(plan, **answer)


def _stderr() -> Any:
    """Return the user's stderr, if it is a file, because the build writes its progress there."""
    try:
        sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return sys.stderr


def serve(parent: int, name: str, half: bool, options: dict[str, Any]) -> None:
    """Run in the build process: read an `.onnx` from stdin; write a line of JSON and the engine to stdout."""
    _end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the parent handles Ctrl-C
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # later output goes to stderr
    for key in ("timing_cache", "log"):
        options[key] = options[key] and Path(options[key])
    for key in ("batches", "tactic_sources"):
        options[key] = options[key] and tuple(options[key])
    onnx = sys.stdin.buffer.read()
    answer: dict[str, str | None]
    plan = b""
    try:
        with steps(f"building {name}") as show:
            built = build(import_tensorrt(), onnx, half, BuildOptions(**options), show)
    except (EdgeCrnnError, OSError) as error:
        answer = {"error": str(error)}
    else:
        answer = {"version": built.version, "precision": built.precision, "gpu": built.gpu}
        plan = built.plan
    with out:
        out.write(json.dumps(answer).encode() + b"\n" + plan)


def _end_with(parent: int) -> None:
    """End this process when its parent ends. Source: prctl(2)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit()
