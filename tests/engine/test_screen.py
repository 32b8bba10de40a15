"""Text that moves the cursor is folded into what can be read at the end, in little memory, whatever it is."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.screen import MOST_LINES, REDRAWN, Screen, moves


def seen(*pieces: str, longest: int = 1000) -> str:
    screen = Screen(longest)
    for piece in pieces:
        screen.write(piece)
    return screen.text()


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("plain", "plain"),
        ("\r 1%\r 50%\r100%", "100%"),
        ("one\r\ntwo\r\n", "one\ntwo"),
        ("two\nlines\n\n\n", "two\nlines"),
        ("\n\nblank lines before", "blank lines before"),
        ("trailing   \n", "trailing"),
        ("draft\r\x1b[Kfinal", "final"),
        ("draft\x1b[2K\rfinal", "final"),
        ("draft\x1b[2K\x1b[1Gfinal", "final"),
        ("draft\x1b[Gfinal", "final"),
        ("transient\r\x1b[2K", ""),
        ("kept\x1b[K", "kept"),
        ("a 0%\nb 0%\x1b[1A\ra 9%\nb 9%", "a 9%\nb 9%"),
        ("a 0%\nb 0%\x1b[F" + "a 9%\x1b[E" + "b 9%", "a 9%\nb 9%"),
        ("a\nb\nc\x1b[2A\r\x1b[Jonly", "only"),
        ("a\nb\x1b[2Jnew", "new"),
        ("\x1b[Hfirst 1\nsecond 1\x1b[Hfirst 2\nsecond 2", "first 2\nsecond 2"),
        ("a\nb\nc\x1b[2;1Hnew", "a\nnew\nc"),
        ("\x1b[?25lspin\x1b[?25h", "spin"),
        ("\x1b7saved\x1b8", "saved"),
    ],
)  # fmt: skip
def test_what_can_be_read_at_the_end_is_left(written: str, left: str) -> None:
    assert seen(written) == left


def test_colours_stay_with_the_text_that_they_colour() -> None:
    assert seen("\x1b[31mred\x1b[0m and plain") == "\x1b[31mred\x1b[0m and plain"
    assert seen("\x1b[31mold\x1b[0m", "\r\x1b[32mnew\x1b[0m") == "new\x1b[0m"


def test_blanks_that_erase_a_bar_are_not_its_last_state() -> None:
    assert seen("\rgone: 100%", "\r          ", "\r") == "gone: 100%"
    assert seen("\rgone: 100%", "\r          ", "\rnext") == "next"


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("plain\n", False),
        ("\x1b[1;31mcoloured\x1b[0m\n", False),
        ("\x1b]8;;https://x.org\x1b\\link\n", False),
        ("\r5%", True),
        ("\x1b[2K", True),
        ("\x1b[1A", True),
        ("\x1b[?25l", True),
    ],
)
def test_colours_alone_move_nothing(text: str, does: bool) -> None:
    assert moves(text) == does


def test_it_is_known_whether_the_cursor_stands_below_all_that_was_written() -> None:
    screen = Screen(1000)
    assert screen.at_line_end()
    screen.write("\rbar 50%")
    assert not screen.at_line_end()
    screen.write("\rbar 100%\n")
    assert screen.at_line_end()
    screen.write("below\x1b[A")
    assert not screen.at_line_end()


# --- what stands above -----------------------------------------------------------------------------------------------


def test_lines_printed_above_a_bar_pass_while_it_is_drawn_and_none_is_lost() -> None:
    screen, passed = Screen(1000), []
    for number in range(1000):
        screen.write(f"\r\x1b[2Kprinted {number}\nbar {number}")
        passed += screen.passed()
        assert len(passed) >= number - 3 * REDRAWN, "a line is to be known soon after it was printed"
    assert [*passed, *screen.text().split("\n")] == [*(f"printed {number}" for number in range(1000)), "bar 999"]


def test_lines_printed_above_a_display_of_several_lines_pass() -> None:
    screen, passed = Screen(1000), []
    screen.write("one 0\ntwo 0\nthree 0")
    for number in range(1, 200):
        screen.write(
            f"\r\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2Kprinted {number}\none {number}\ntwo {number}\nthree {number}"
        )
        passed += screen.passed()
    assert screen.text().endswith("printed 199\none 199\ntwo 199\nthree 199")
    printed = [*passed, *screen.text().split("\n")[:-3]]
    assert printed == [f"printed {number}" for number in range(1, 200)]


def test_a_bar_above_another_does_not_pass_however_seldom_it_is_drawn() -> None:
    """As tqdm draws: the cursor rests in the line of the outer bar."""
    screen = Screen(1000)
    screen.write("\router 0%")
    for number in range(1000):
        screen.write(f"\n\rinner {number}\x1b[A")
    screen.write("\router 100%")
    assert screen.passed() == []
    assert screen.text() == "outer 100%\ninner 999"


def test_who_draws_a_line_that_had_passed_draws_it_again_and_no_other() -> None:
    """As docker does: any of many lines, the cursor rests below them."""
    screen = Screen(1000)
    screen.write("".join(f"layer {number} 0%\n" for number in range(5)))
    for percent in range(100):
        screen.write(f"\x1b[1A\r\x1b[2Klayer 4 {percent}%\r\x1b[1B")
    assert screen.passed() == [f"layer {number} 0%" for number in range(4)]
    screen.write("\x1b[5A\r\x1b[2Klayer 0 done\r\x1b[5B")
    assert screen.text().replace("\n", "") == "layer 0 donelayer 4 99%"


def test_what_scrolls_out_at_the_top_has_passed() -> None:
    screen = Screen(1000)
    screen.write("\r" + "".join(f"{number}\n" for number in range(3 * MOST_LINES)))
    lines = [*screen.passed(), *screen.text().split("\n")]
    assert lines == [str(number) for number in range(3 * MOST_LINES)]


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_a_line_is_no_longer_than_it_may_be_and_what_is_dropped_is_counted() -> None:
    screen = Screen(10)
    screen.write("\r" + "x" * 25)
    screen.write("y" * 5)
    assert screen.text() == "x" * 10
    assert screen.dropped == 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "update",
    [
        "\r{}% of it",
        "\n\r{}\x1b[A",
        "\r\x1b[2K{} printed\n{} bar",
        "\x1b[31m",
        "\x1b[500B",
        "\x1b[500A\x1b[900Bx",
        "\x1b[H\x1b[2J{}\n{}\n",
        "{}",
        "\x1b[99999999999999999999B",
    ],
    ids=ascii,
)
def test_updates_without_end_take_little_memory(update: str) -> None:
    screen = Screen(1000)
    tracemalloc.start()
    try:
        for number in range(5_000):
            screen.write(update.format(number, number))
            screen.passed()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.slow
def test_a_million_updates_of_a_bar_leave_one_line() -> None:
    screen = Screen(1000)
    for number in range(1_000_000):
        screen.write(f"\r{number}")
    assert screen.text() == "999999"
    assert screen.passed() == []


@pytest.mark.parametrize("number", ["9" * 5000, "99999999", "0", "-1", "²", "1;", ";;;", "?"])
@pytest.mark.parametrize("kind", "ABCDEFGHJKfmhl~@")
def test_numbers_that_nobody_means_do_no_harm(kind: str, number: str) -> None:
    text = seen(f"before\x1b[{number}{kind}after")
    assert "after" in text or kind == "J"
    assert text.count("\n") <= MOST_LINES


PIECES = st.lists(
    st.one_of(
        st.sampled_from(["\r", "\n", "\r\n", "\x1b[A", "\x1b[3B", "\x1b[H", "\x1b[31m"]),
        st.sampled_from(["\x1b[2K", "\x1b[K", "\x1b[J", "\x1b[2J"]),
        st.sampled_from(["\x1b", "\x1b[", "\x1b[1", "\x1b]0;title\x07"]),
        st.text(max_size=12),
    ),
    max_size=40,
)  # fmt: skip


@given(PIECES)
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_it(pieces: list[str]) -> None:
    screen = Screen(50)
    for piece in pieces:
        screen.write(piece)
        lines = [*screen.passed(), *screen.text().split("\n")]
        assert all(len(line) <= 50 for line in lines)
    screen.at_line_end()


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n\x1b", exclude_categories=["Cs"]), max_size=8), max_size=30)
)
@settings(max_examples=200, deadline=None)
def test_of_lines_that_are_drawn_once_none_is_lost(lines: list[str]) -> None:
    written = [line.rstrip() for line in lines if line.strip()]
    screen = Screen(1000)
    screen.write("\r")
    for line in lines:
        screen.write(f"{line}\n")
    assert [*screen.passed(), *filter(str.strip, screen.text().split("\n"))] == written
