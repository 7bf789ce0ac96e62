from __future__ import annotations

import builtins
import gc
import inspect
import pickle
import re
import weakref

import pytest

from edge_crnn import errors

LEAVES = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if error.__module__ == errors.__name__ and error is not errors.EdgeCrnnError
]


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn = re.findall(r"[├└]── (\w+) +\((\w+)\) +\w", errors.__doc__ or "")
    assert drawn == [(leaf.__name__, leaf.__bases__[-1].__name__) for leaf in sorted(LEAVES, key=_place)]


@pytest.mark.parametrize("leaf", LEAVES)
def test_each_leaf_is_a_builtin_too(leaf: type[errors.EdgeCrnnError]) -> None:
    ours, builtin = leaf.__bases__
    assert issubclass(ours, errors.EdgeCrnnError)
    assert getattr(builtins, builtin.__name__) is builtin
    with pytest.raises(builtin, match=r"^found this, expected that$") as caught:
        raise leaf("found this, expected that")
    assert type(pickle.loads(pickle.dumps(caught.value))) is leaf  # from a worker process


def _place(leaf: type) -> int:
    return inspect.getsourcelines(leaf)[1]


def test_an_error_without_its_traceback_keeps_its_causes_and_no_variables() -> None:
    class Big:
        """Stands for the bytes of a file."""

    def fail() -> None:
        big = Big()
        references.append(weakref.ref(big))
        try:
            try:
                raise KeyError("first")
            except KeyError:
                raise OSError(5, "second")  # noqa: B904 - the first is its context alone
        except OSError as error:
            raise errors.ImageError("third") from error

    references: list[weakref.ref[Big]] = []
    gc.disable()
    try:
        fail()
    except errors.ImageError as error:
        stored = errors.without_traceback(error)
    finally:
        gc.enable()
    assert references[0]() is None
    assert isinstance(stored.__cause__, OSError)
    assert stored.__cause__.errno == 5
    assert stored.__traceback__ is stored.__cause__.__traceback__ is stored.__cause__.__context__ is None
