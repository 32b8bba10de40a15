"""The vault: what is sealed can be opened by who has the key, and by nobody else; and one key is made, once, whole."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.exceptions import ConfigurationError, DecryptionError
from penstock.vault import Vault, new_key

SOURCE = Path(__file__).resolve().parents[1] / "src"
CLEAR = b"hunter2, the whole of it"
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "secret.key"


def test_what_was_sealed_is_opened_and_its_clear_text_is_nowhere(path: Path) -> None:
    sealed = Vault(path).seal(CLEAR)

    assert CLEAR not in sealed
    assert sealed.isascii()
    assert Vault(path).open(sealed) == CLEAR
    assert Vault(path).seal(CLEAR) != sealed


def test_the_key_file_is_made_when_first_needed_for_its_owner_alone(path: Path) -> None:
    vault = Vault(path)
    assert not path.parent.exists()

    vault.seal(b"")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]  # no draft is left
    key = path.read_bytes()
    vault.seal(b"")
    assert path.read_bytes() == key


def test_a_given_key_makes_no_file(path: Path) -> None:
    vault = Vault(path, new_key())

    assert vault.open(vault.seal(CLEAR)) == CLEAR
    assert not path.parent.exists()


def test_a_key_is_never_made_to_open_something(path: Path) -> None:
    sealed = Vault(path).seal(CLEAR)
    path.unlink()

    with pytest.raises(DecryptionError, match=r"and there is no key file .*secret.key. Put the file back"):
        Vault(path).open(sealed, "Block 'secret/x'")
    assert not path.exists()


def test_the_wrong_key_is_told_by_its_id(path: Path, tmp_path: Path) -> None:
    sealed = Vault(path).seal(CLEAR)
    id = sealed.split(b":")[1].decode()
    other = tmp_path / "other.key"
    Vault(other).seal(b"")

    with pytest.raises(DecryptionError) as of_file:
        Vault(other).open(sealed, "Block 'secret/x'")
    with pytest.raises(DecryptionError) as of_both:
        Vault(other, new_key()).open(sealed, "Block 'secret/x'")
    with pytest.raises(DecryptionError) as of_given:
        Vault(tmp_path / "none.key", new_key()).open(sealed)

    start = f"Block 'secret/x' was encrypted with the key {id}, which is"
    assert str(of_file.value).startswith(f"{start} not in {other}.")
    assert str(of_both.value).startswith(f"{start} neither in PENSTOCK_ENCRYPTION_KEY nor in {other}.")
    assert str(of_given.value).startswith(f"The value was encrypted with the key {id}, which is not in PENSTOCK_ENC")


def test_keys_are_rotated_the_first_seals_and_all_open(path: Path) -> None:
    old, new = new_key(), new_key()
    sealed = Vault(path, old).seal(CLEAR)
    both = Vault(path, f"{new}, {old}")

    assert both.open(sealed) == CLEAR
    assert Vault(path, new).open(both.seal(CLEAR)) == CLEAR
    assert not both.is_current(sealed)
    assert both.is_current(both.seal(CLEAR))


def test_the_key_file_is_rotated_by_a_new_first_line(path: Path) -> None:
    sealed = Vault(path).seal(CLEAR)
    path.write_text(f"{new_key()}\n{path.read_text()}")

    assert Vault(path).open(sealed) == CLEAR
    assert not Vault(path).is_current(sealed)


def test_one_may_move_from_the_key_file_to_a_given_key(path: Path) -> None:
    sealed = Vault(path).seal(CLEAR)

    assert Vault(path, new_key()).open(sealed) == CLEAR


@pytest.mark.parametrize("broken", ["", " , ", "hunter2", "A" * 44, KEY[:-1], KEY + "x", f"{KEY},hunter2", "é" * 44])
def test_a_broken_key_is_an_error_that_does_not_show_it(path: Path, broken: str) -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_ENCRYPTION_KEY") as raised:
        Vault(path, broken).seal(CLEAR)
    assert all(each not in str(raised.value) for each in broken.split(",") if each.strip())
    assert raised.value.__cause__ is None

    path.parent.mkdir()
    path.write_text(broken)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=r"secret\.key"):
        Vault(path).seal(CLEAR)


def test_changed_bytes_are_told_from_a_wrong_key(path: Path) -> None:
    vault = Vault(path)
    sealed = vault.seal(CLEAR)

    for damaged in (sealed[:-5], sealed[:-5] + b"AAAAA", sealed[:30] + b"\xff" + sealed[31:]):
        with pytest.raises(DecryptionError, match="is damaged: it was changed"):
            vault.open(damaged)
    for foreign in (b"", b"hunter2", sealed[10:], b"penstock1:zz:x", b"penstock1:\xff\xff\xff\xff\xff\xff\xff\xff:x"):
        with pytest.raises(DecryptionError, match="is damaged: it is not what"):
            vault.open(foreign)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606, 0o666])
def test_a_key_file_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    sealed = Vault(path).seal(CLEAR)
    path.chmod(mode)

    for use in (lambda: Vault(path).open(sealed), lambda: Vault(path).seal(CLEAR)):
        with pytest.raises(ConfigurationError, match=f"mode {mode:04o}.*chmod 600"):
            use()


def test_a_folder_that_cannot_hold_a_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")

    with pytest.raises(ConfigurationError, match=r"cannot be made: .*PENSTOCK_ENCRYPTION_KEY"):
        Vault(tmp_path / "nowhere" / "secret.key").seal(CLEAR)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Vault(tmp_path).seal(CLEAR)


def test_a_link_that_leads_nowhere_is_told(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(path.with_name("gone"))

    with pytest.raises(ConfigurationError, match="leads nowhere"):
        Vault(path).seal(CLEAR)
    path.with_name("gone").write_text(new_key())
    path.chmod(0o600)
    assert Vault(path).open(Vault(path).seal(CLEAR)) == CLEAR


def test_a_lost_key_is_added_to_the_one_that_was_made_since(path: Path) -> None:
    first = Vault(path).seal(CLEAR)
    backup = path.read_text()
    path.unlink()
    with pytest.raises(DecryptionError, match="Put the file back"):
        Vault(path).open(first)
    second = Vault(path).seal(CLEAR)
    with pytest.raises(DecryptionError, match="Add it there, as a line of its own"):
        Vault(path).open(first)

    path.write_text(path.read_text() + backup)
    assert Vault(path).open(first) == Vault(path).open(second) == CLEAR


def test_a_key_file_that_an_editor_saved_is_read(path: Path) -> None:
    sealed = Vault(path).seal(CLEAR)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().strip() + b"\r\n\r\n")

    assert Vault(path).open(sealed) == CLEAR


FIRST = """
import sys
from pathlib import Path
from penstock.vault import Vault
import cryptography.fernet
vault = Vault(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(vault.seal(sys.argv[2].encode()).decode(), flush=True)
"""


def test_processes_that_need_the_first_key_at_once_end_up_with_one(path: Path) -> None:
    for round in range(5):
        key = path.with_name(f"{round}.key")
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", FIRST, str(key), f"secret {number}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(SOURCE)},
            )
            for number in range(4)
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        sealed = [racer.communicate(timeout=60)[0].strip().encode() for racer in racers]

        assert [Vault(key).open(each) for each in sealed] == [f"secret {number}".encode() for number in range(4)]
    assert sorted(os.listdir(path.parent)) == [f"{round}.key" for round in range(5)]
