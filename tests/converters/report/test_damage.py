from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.report.markdown import markdown
from converters.report.page import page
from edge_crnn.errors import InputError
from tests.converters.report import made
from tests.converters.report.made import Json, changed, leaves, reported

_WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.sampled_from([0.0, -1.0, 1e-320, 1e300, 1e6]),
    st.text(max_size=3),
    st.just([]),
    st.just({}),
)


@pytest.mark.parametrize("suite", made.SUITES.values(), ids=made.SUITES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_refused_or_shown(suite: Callable[[], Json], data: st.DataObject) -> None:
    """Any value in a field gives a page, or one error."""
    document = suite()
    places = [path for path, _ in leaves(document) if path[0] not in ("suite", "version")]
    path = data.draw(st.sampled_from(places))
    cut = data.draw(st.integers(1, len(path)))
    damaged = changed(document, path[:cut], data.draw(_WRONG))
    try:
        report = reported(damaged)
    except InputError:
        return
    made.Browser(page(report))
    markdown(report)
