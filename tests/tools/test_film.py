"""The animated SVG of a terminal: its frames, their times, and that it loads nothing."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tools.film import animated, moments_of, pages_of, sampled
from tools.pictures import MOST_FILM_BYTES, film_of

CLEAR = "\r\x1b[2K\x1b[1A\x1b[2K"
SVG = "{http://www.w3.org/2000/svg}"


def test_each_frame_has_the_second_in_which_it_was_drawn():
    chunks = [(0.1, "one"), (0.5, CLEAR + "tw"), (0.9, "o" + CLEAR), (1.4, "three"), (2.0, CLEAR), (2.5, "end")]

    assert moments_of(chunks) == [(0.1, "one"), (0.5, "two"), (1.4, "three"), (2.5, "end")]


def test_one_frame_is_taken_of_each_interval():
    moments = [(0.0, "a"), (0.25, "b"), (0.5, "c"), (0.75, "d"), (3.1, "e"), (3.2, "f")]

    assert sampled(moments, 0.5) == ["a", "c", "e"]


def test_a_long_end_is_shown_page_by_page_and_the_last_page_is_full():
    text = "\r\n".join(map(str, range(25)))

    assert [page.split("\n")[0] for page in pages_of(text, 10)] == ["0", "10", "15"]
    assert all(page.count("\n") == 9 for page in pages_of(text, 10))
    assert pages_of("a\r\nb\r\n", 10) == ["a\nb"]


def test_the_film_shows_each_frame_for_its_time_and_has_equal_lines_once():
    svg = animated(
        [(1, "same\n\x1b[31mred\x1b[0m"), (1, "same\n<b> & co"), (2, "same")], columns=20, lines=3, title="a & b"
    )

    root = ElementTree.fromstring(svg)
    assert [node.text for node in root.iterfind(f"./{SVG}defs/{SVG}g/{SVG}text")] == ["same", "red", "<b> & co"]
    assert len([*root.iter(f"{SVG}use")]) == 5
    assert re.findall(r"([\d.]+)%\{transform:translateY\((-?\d+)px\)\}", svg) == [
        ("0.000", "0"), ("25.000", "-54"), ("50.000", "-108"), ("100", "-108"),
    ]  # fmt: skip
    assert "play 4s step-end infinite" in svg
    assert ".strip{transform:translateY(-108px);" in svg, "without an animation, the last frame is shown"
    assert "prefers-reduced-motion" in svg


def test_the_film_of_a_run_is_small_and_loads_nothing():
    frame = "\r\n".join(f"\x1b[32m{number}\x1b[0m step" for number in range(20))
    chunks = [(second / 4, (CLEAR if second else "") + f"{second}\r\n{frame}") for second in range(240)]

    svg = film_of([*chunks, (60.0, CLEAR + "proved\r\n" * 40)])

    assert len(svg) < MOST_FILM_BYTES / 2
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in svg
    assert ">proved<" in svg
