"""Tokens: whose they are, and what is none."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tidegate.control.tokens import FILE, PREFIX, TokenKeyError, Tokens
from tidegate.model.release import AgentKey

KEY = AgentKey("mailer", "prod")
ONE, TWO = b"1" * 32, b"2" * 32


def test_a_token_says_whose_it_is() -> None:
    tokens = Tokens(ONE)
    token = tokens.make(KEY)
    assert token.startswith(PREFIX)
    assert token == tokens.make(KEY) == tokens.of_instance("mailer.prod.r3.1")
    assert tokens.verify(token) == KEY
    assert tokens.make(AgentKey("mailer", "test")) != token


def test_every_changed_character_makes_it_worthless() -> None:
    tokens = Tokens(ONE)
    token = tokens.make(KEY)
    for place in range(len(token)):
        forged = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        # The last character of base64 holds bits that say nothing: then it is the same token in other words.
        assert tokens.verify(forged) in ((None, KEY) if place == len(token) - 1 else (None,))


@pytest.mark.parametrize("text", ["", "tga_", "tga_!!!!", "tga_AAAA", "Bearer", "tga_" + "A" * 5000, "tga_é"])
def test_what_is_no_token_is_refused(text: str) -> None:
    assert Tokens(ONE).verify(text) is None


def test_the_name_in_a_token_cannot_be_changed() -> None:
    text = Tokens(ONE).make(KEY).removeprefix(PREFIX)
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    forged = PREFIX + base64.urlsafe_b64encode(raw[:32] + b"billing\0prod").rstrip(b"=").decode()
    assert Tokens(ONE).verify(forged) is None


def test_another_key_makes_other_tokens_and_an_added_one_replaces_it_without_a_gap() -> None:
    old = Tokens(ONE).make(KEY)
    assert Tokens(TWO).verify(old) is None
    both = Tokens(TWO, ONE)
    assert both.verify(old) == KEY
    assert both.make(KEY) == Tokens(TWO).make(KEY)


def test_the_key_is_made_once_and_only_for_us(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with ThreadPoolExecutor(8) as pool:
        made = {tokens.make(KEY) for tokens in pool.map(Tokens.at, [folder] * 8)}
    assert len(made) == 1
    assert [path.name for path in folder.iterdir()] == [FILE]
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert (folder / FILE).read_text().strip() not in repr(Tokens.at(folder))


def test_a_key_that_others_can_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    Tokens.at(tmp_path)
    file = tmp_path / FILE
    file.chmod(0o644)
    with pytest.raises(TokenKeyError, match="can be read by others"):
        Tokens.at(tmp_path)
    file.chmod(0o600)
    for content in ("not hexadecimal", "abcd", ""):
        file.write_text(content)
        with pytest.raises(TokenKeyError):
            Tokens.at(tmp_path)
