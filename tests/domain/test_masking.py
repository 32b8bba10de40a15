"""No form of a secret is left in a masked text, and a text without one is left alone."""

from __future__ import annotations

import base64
import html
import json
import pickle
import re
import threading
from collections.abc import Callable
from unicodedata import normalize
from urllib.parse import quote, quote_plus, urlencode
from xml.sax import saxutils

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.domain.masking import MASK, Masker


def knowing(*secrets: str | bytes) -> Masker:
    masker = Masker()
    for secret in secrets:
        assert masker.add(secret), secret
    return masker


# How programs write a value. (Not made with the code that is tested.)
WRITTEN: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "composed": lambda text: normalize("NFC", text),
    "decomposed": lambda text: normalize("NFD", text),
    "in an URL": lambda text: quote(text, safe="", errors="surrogatepass"),
    "in a path": lambda text: quote(text, errors="surrogatepass"),
    "in a form": lambda text: quote_plus(text, errors="surrogatepass"),
    "with small hex digits": lambda text: re.sub(
        "%..", lambda match: match.group().lower(), quote(text, safe="", errors="surrogatepass")
    ),
    "in JSON": lambda text: json.dumps(text)[1:-1],
    "in readable JSON": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "repr": lambda text: repr(text)[1:-1],
    "repr beside a quote": lambda text: repr(text + "'")[1:-2] if '"' not in text else repr(text)[1:-1],
    "ascii": lambda text: ascii(text)[1:-1],
    "bytes": lambda text: repr(text.encode("utf-8", "surrogatepass"))[2:-1],
    "in HTML": lambda text: html.escape(text),
    "in XML": lambda text: saxutils.escape(text),
    "in XML, by number": lambda text: "".join(f"&#{ord(each)};" if each in "&<>\"'" else each for each in text),
    "in SQL": lambda text: text.replace("'", "''"),
    "in CSV": lambda text: text.replace('"', '""'),
    "in a shell": lambda text: text.replace("'", "'\"'\"'"),
    "HTML in JSON": lambda text: json.dumps(html.escape(text))[1:-1],
    "JSON in a repr": lambda text: repr(json.dumps(text))[2:-2],
    "repr in JSON": lambda text: json.dumps(repr(text))[2:-2],
}
ALPHABET = st.one_of(
    st.sampled_from("abcdeABC0123-_+/=!&%*'\"\\ \t{}<>;#"),
    st.sampled_from("äéßñ漢字🔑\u0301\u200b"),
    st.sampled_from("\n\r\0\ud800\x7f\u2028"),
)
VALUES = st.lists(ALPHABET, min_size=4, max_size=24).map("".join)


@st.composite
def known_and_text(draw: st.DrawFn) -> tuple[list[str], str]:
    """Secrets, some of which overlap, and a text in which forms of them stand, whole, cut, and side by side."""
    secrets = draw(st.lists(VALUES, min_size=1, max_size=5))
    first = secrets[0]
    secrets.append(first[len(first) // 2 :] + draw(VALUES))
    secrets.append(first[: len(first) // 2 + 2] + MASK[: draw(st.integers(0, 8))] + first[len(first) // 2 + 2 :])
    piece = st.one_of(
        st.tuples(st.sampled_from(secrets), st.sampled_from(list(WRITTEN.values()))).map(lambda pair: pair[1](pair[0])),
        st.tuples(st.sampled_from(secrets), st.integers(0, 8)).map(lambda pair: pair[0][pair[1] :]),
        st.text(alphabet=ALPHABET, max_size=12),
        st.just(MASK),
    )
    return secrets, "".join(draw(st.lists(piece, max_size=12)))


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(known_and_text())
def test_no_form_of_any_secret_is_left(case: tuple[list[str], str]) -> None:
    secrets, text = case
    masker = Masker()
    known = [secret for secret in secrets if masker.add(secret)]
    masked = masker.text(text)
    for secret in known:
        for how, written in WRITTEN.items():
            assert written(secret) not in masked, how


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(known_and_text(), st.integers(0, 80))
def test_a_beginning_ends_with_no_part_of_a_secret(case: tuple[list[str], str], most: int) -> None:
    """What is shown of a long text ends with the text's own end of it, or with a mask, and not with half a secret."""
    secrets, text = case
    masker = Masker()
    known = [secret for secret in secrets if masker.add(secret)]
    head = masker.head(text, most)
    assert len(head) <= 2 * most + len(MASK)  # a mask may be longer than the secret
    for secret in known:
        place = text.find(secret)
        if 0 <= place < most < place + len(secret):
            assert head.endswith(MASK)
        assert secret not in head


@given(st.lists(st.text(st.characters(categories=["Lu", "Ll", "Lo"]), min_size=6), max_size=8), st.text("0123 .,:\n"))
def test_a_text_without_secrets_is_the_very_same(secrets: list[str], text: str) -> None:
    masker = Masker()
    for secret in secrets:
        masker.add(secret)
    assert masker.text(text) is text


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=8, max_size=40), st.binary(max_size=7), st.binary(max_size=7), st.booleans())
def test_a_secret_is_found_in_base64_wherever_it_begins(secret: bytes, before: bytes, after: bytes, safe: bool) -> None:
    masker = Masker()
    if not masker.add(secret):
        return
    encode = base64.urlsafe_b64encode if safe else base64.b64encode
    text = encode(before + secret + after).decode()
    masked = masker.text(text)
    # Characters that come of the secret's bits alone:
    own = text[-(-len(before) * 8 // 6) : (len(before) + len(secret)) * 8 // 6]
    assert MASK in masked
    assert own not in masked


def test_what_was_read_as_bytes_is_found_however_it_was_decoded() -> None:
    secret = b"gr\xfc\xdfe-\xff\x00-key"
    masker = knowing(secret)
    for text in (
        repr(secret),
        str({"key": secret}),
        secret.decode("latin-1"),
        secret.decode(errors="replace"),
        secret.decode(errors="surrogateescape"),
        secret.decode(errors="backslashreplace"),
    ):
        assert "key" not in masker.text(text).replace("'key'", ""), text


def test_each_line_of_a_secret_is_one() -> None:
    masker = knowing("-----BEGIN KEY-----\r\n  MIIEpAIBAAKCAQEA\r\nab\r\nq83v==\r\n-----END KEY-----\n")
    assert masker.text("first MIIEpAIBAAKCAQEA, then q83v== and ab") == f"first {MASK}, then {MASK} and ab"


def test_secrets_that_adjoin_or_overlap_are_masked_as_one() -> None:
    masker = knowing("hunter2", "ter2-and", "abcd")
    assert masker.text("a hunter2-and b") == f"a {MASK} b"
    assert masker.text("a abcdhunter2 b") == f"a {MASK} b"
    assert masker.text("abcd abcd") == f"{MASK} {MASK}"


def test_a_mask_makes_no_secret_of_what_stands_around_it() -> None:
    masker = knowing("abcdef", f"x{MASK}y", "***z")
    assert masker.text("xabcdefy") == MASK
    assert "***z" not in masker.text("abcdefz")


def test_short_and_blank_values_are_not_masked() -> None:
    masker = Masker()
    for value in ("", "abc", b"abc", "    ", "\n\n\n\n\n", "****", "********** "):
        assert not masker.add(value), value
    assert not masker.active
    text = "abc **** "
    assert masker.text(text) is text


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("secret", ["hunter2!", "pä\"ss'wörd\n", "漢字漢字", "nul\0nul"])
def test_pickles_tell_that_they_hold_a_secret(protocol: int, secret: str) -> None:
    masker = knowing(secret)
    assert masker.holds(pickle.dumps({"a": [1, f"postgres://u:{secret}@h"]}, protocol))
    assert masker.holds(pickle.dumps(secret.encode(), protocol))
    assert not masker.holds(pickle.dumps({"a": [1, "postgres://u:p@h"]}, protocol))


def test_which_secrets_bytes_hold_is_told() -> None:
    masker = knowing("first-secret", "second secret", b"third-secret")
    assert masker.secrets_in(b"a=first-secret&b=second%20secret") == ["first-secret", "second secret"]
    assert masker.secrets_in(b"nothing") == []


def test_a_pattern_masks_its_group_named_secret_or_all_of_its_match() -> None:
    masker = Masker()
    masker.add_pattern(r"password=(\S+)")
    masker.add_pattern(r"Bearer (?P<secret>[\w.]+)")
    assert masker.text("password=abc; Authorization: Bearer a.b.c") == f"{MASK} Authorization: Bearer {MASK}"
    assert masker.holds(b"x password=abc")
    with pytest.raises(re.error):
        masker.add_pattern("(")


def test_patterns_that_are_held_are_replaced_by_the_next() -> None:
    masker = Masker()
    masker.add_pattern("one")
    masker.hold_patterns(["two"])
    masker.hold_patterns(["three"])
    assert masker.text("one two three") == f"{MASK} two {MASK}"
    masker.hold_patterns([])
    assert masker.text("one two three") == f"{MASK} two three"


def test_what_was_learned_is_learned_by_another() -> None:
    masker, other = knowing("first-secret", b"\xff\xfesecond"), Masker()
    told = len(masker.learned())
    masker.add("first-secret")
    masker.add_pattern(r"id-\d+")
    assert len(masker.learned(told)) == 1
    other.learn(masker.learned())
    written = repr(b"\xff\xfesecond")
    assert other.text(f"first-secret {written} id-77") == f"{MASK} b'{MASK}' {MASK}"


@pytest.mark.parametrize("size", [4, 5, 6, 7, 8, 40])
def test_a_secret_is_found_at_every_place_and_at_the_borders_of_the_parts_that_are_looked_at(size: int) -> None:
    secret = "Zq7-Wx9_Kv3+Jt5=Hs1~Gr8!Fp4@Dn6#Bm2$Lc0%"[:size]
    masker = knowing(secret)
    for place in [*range(9), *range((1 << 14) - size - 4, (1 << 14) + 5)]:
        text = "." * place + secret + "." * 9
        assert masker.text(text) == "." * place + MASK + "." * 9, place


def test_urls_as_programs_write_them_are_masked() -> None:
    masker = knowing("p@ss/w:rd?&=")
    assert "w%3Ard" not in masker.text(urlencode({"password": "p@ss/w:rd?&="}))
    assert masker.text(f"https://h/?q={quote('p@ss/w:rd?&=', safe='@:!$&()*+,;=')}") == f"https://h/?q={MASK}"


def test_colours_within_a_secret_do_not_hide_it() -> None:
    masker = knowing("hunter2-hunter2")
    masked = masker.text("pw \x1b[1mhunter\x1b[1;36m2\x1b[0m-hunter\x1b[1;36m2\x1b[0m end")
    assert masked == f"pw \x1b[1m{MASK}\x1b[0m end"


def test_threads_ask_while_others_add() -> None:
    masker = knowing("the-first-secret")
    wrong: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            masked = masker.text("a the-first-secret b")
            if masked != f"a {MASK} b":
                wrong.append(masked)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(300):
        secret = f"{number}-another-secret"
        masker.add(secret)
        if secret in masker.text(f"x {secret} y"):
            wrong.append(secret)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
