"""A function of the user's own that replaces all steps of preprocessing.

    def binarised(pixels):  # uint8, (H, W, 3) BGR or (H, W) grey
        ...
        return image  # float32, of the shape that the network takes for one image

A spec names the function and the SHA-256 of the file that defines it, so that a device does not read with another
version. Modules that the file imports are not part of the hash.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..files import sha256
from ..images import Pixels
from ..model.spec import Preprocessing

Function: TypeAlias = Callable[[Pixels], Any]
"""A function from pixels, (H, W, 3) BGR or (H, W), uint8, to an image as the network takes it."""

_MODULE = "edge_crnn_preprocessing"
"""Module name of the user's file."""


@dataclass(frozen=True)
class Preprocess:
    """A function together with its name and hash in a spec."""

    call: Function
    named: Preprocessing

    @classmethod
    def of(cls, function: Function) -> Preprocess:
        """Make one from a function that is defined in a file.

        Raises:
            InputError: it has no name, or the file that defines it cannot be read, as in an interactive session.
        """
        inner = function
        while hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        name = getattr(inner, "__name__", "")
        code = getattr(inner, "__code__", None)
        if code is None or not name.isidentifier():
            raise InputError(
                f"preprocess is {function!r}, expected a function with a name;"
                " define it with def, or load it with load_function('FILE:FUNCTION')"
            )
        try:
            source = Path(code.co_filename).read_bytes()
        except (OSError, ValueError) as error:
            raise InputError(
                f"the source of function {name!r} cannot be read from {code.co_filename}, so that nobody can tell"
                " whether the model was converted with it; load it with load_function('FILE:FUNCTION'), or vouch for it"
                " with Preprocess(function, spec.input.function)"
            ) from error
        return cls(function, Preprocessing(name, sha256(source)))

    def result(self, pixels: Pixels, shape: tuple[int, int, int], image: str = "image") -> npt.NDArray[np.float32]:
        """Call the function on a copy of an image, and check the result.

        Args:
            pixels: (H, W) or (H, W, 3) BGR, uint8.
            shape: the shape that the network takes.
            image: the name of the image in an error.

        Returns:
            float32 of `shape`.

        Raises:
            InputError: the function fails, or returns anything but finite numbers of this shape.
        """
        name = self.named.function
        try:
            returned = self.call(pixels.copy())
        except (Exception, SystemExit) as error:
            raise InputError(
                f"{image}: function {name!r} failed ({type(error).__name__}: {error}); correct it"
            ) from error
        try:
            result = np.asarray(returned)
        except Exception as error:
            raise InputError(
                f"{image}: function {name!r} returned {type(returned).__name__}, expected an array of shape {shape}"
            ) from error
        if result.shape != shape or result.dtype.kind not in "fiub":
            raise InputError(
                f"{image}: function {name!r} returned shape {result.shape} of {result.dtype}, expected {shape} of"
                " float32"
            )
        with np.errstate(over="ignore"):
            numbers = result.astype(np.float32)
        if not np.isfinite(numbers).all():
            raise InputError(f"{image}: function {name!r} returned numbers that are not finite in float32; correct it")
        return numbers


_in_use: dict[Preprocessing, Preprocess] = {}


def use(function: Preprocess) -> None:
    """Use a function in this whole process wherever a spec names it."""
    _in_use[function.named] = function


def function_of(named: Preprocessing | None, function: Function | Preprocess | None = None) -> Preprocess | None:
    """Return the function that a spec names: the argument, or else one passed to `use`; None: it names none.

    Raises:
        InputError: the function is missing, or is another one.
    """
    if function is not None and not isinstance(function, Preprocess):
        function = Preprocess.of(function)
    if named is None:
        if function is not None:
            raise InputError(
                f"found the function {function.named.function!r}, but the model names none: its images go through the"
                " steps in its spec; leave the function out, or convert the model with it"
            )
        return None
    function = function or _in_use.get(named)
    if function is None:
        raise InputError(
            f"the model's images go through the function {named.function!r}, which is not given; give --preprocess"
            f" FILE:{named.function}, or in Python preprocess={named.function} (SHA-256 of its file: {named.sha256})"
        )
    if function.named.function != named.function:
        raise InputError(
            f"found the function {function.named.function!r}, but the model was converted with {named.function!r};"
            " give that"
        )
    if function.named.sha256 != named.sha256:
        raise InputError(
            f"the file that defines {named.function!r} has SHA-256 {function.named.sha256}, but the model was converted"
            f" with {named.sha256}; give that version of the file, or convert the model again"
        )
    return function


def load_function(text: str) -> Preprocess:
    """Run a Python file that the user names, and return a function from it.

    Args:
        text: FILE:FUNCTION. The file can import other modules from its own folder.

    Raises:
        InputError: the file does not exist, does not run, or does not define the function.
    """
    file, _, name = text.rpartition(":")
    if not file or not name.isidentifier():
        raise InputError(f"found {text!r}, expected FILE:FUNCTION, such as my_steps.py:binarised")
    path = Path(file).resolve()
    try:
        source = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{file}: cannot be read ({reason}); name a Python file that defines {name}") from error
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = types.ModuleType(_MODULE)
    module.__file__ = str(path)
    sys.modules[_MODULE] = module  # dataclasses, among others, look themselves up there
    try:
        # The bytes that were read, and no cached bytecode: the hash is of what runs.
        exec(compile(source, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise InputError(f"{file}: it does not run ({type(error).__name__}: {error}); correct it") from error
    function = getattr(module, name, None)
    if not callable(function):
        names = ", ".join(
            key
            for key, value in vars(module).items()
            if isinstance(value, types.FunctionType) and value.__module__ == _MODULE and key[0] != "_"
        )
        raise InputError(f"{file}: no function {name!r}; it defines {names or 'none'}")
    return Preprocess(function, Preprocessing(name, sha256(source)))
