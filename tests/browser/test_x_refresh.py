from __future__ import annotations

import pytest

from pyegress.browser.x_refresh import refresh_rate

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("framerate", "rate"), [(1, 48), (5, 50), (15, 60), (24, 48), (25, 50), (30, 60), (50, 50), (60, 60), (120, 120)]
)
def test_a_page_is_drawn_at_a_multiple_of_the_rate_that_it_is_recorded_at(framerate: int, rate: int) -> None:
    assert refresh_rate(framerate) == rate
