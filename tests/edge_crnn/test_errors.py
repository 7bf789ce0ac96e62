from __future__ import annotations

import builtins
import inspect
import pickle
import re

import pytest

from edge_crnn import errors

LEAVES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if each.__module__ == errors.__name__ and each is not errors.EdgeCrnnError
]


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn = re.findall(r"[├└]── (\w+) +\((\w+)\) +\w", errors.__doc__ or "")
    assert drawn == [(each.__name__, each.__bases__[-1].__name__) for each in sorted(LEAVES, key=_place)]


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
