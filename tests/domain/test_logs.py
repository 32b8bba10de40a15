"""A line is cut where it must be, and says so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.levels import level_name
from penstock.domain.logs import cut


@given(st.text(max_size=50), st.integers(1, 40))
def test_a_line_is_cut_with_a_marker_or_not_at_all(message: str, limit: int) -> None:
    shown = cut(message, limit)
    if len(message) <= limit:
        assert shown == message
    else:
        assert shown.startswith(message[:limit])
        assert f"cut: {len(message) - limit} more characters" in shown


def test_levels_between_the_named_ones_keep_their_number() -> None:
    assert [level_name(level) for level in (10, 20, 25, 50)] == ["DEBUG", "INFO", "Level 25", "CRITICAL"]
