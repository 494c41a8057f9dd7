"""Tokens: whose they are, and what is none."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tidegate.control.tokens import FILE, Bearer, Grant, TokenKeyError, Tokens
from tidegate.model.release import AgentKey

KEY = AgentKey("mailer", "prod")
NOW = 1000.0
ONE, TWO = b"1" * 32, b"2" * 32


def test_a_token_says_whose_it_is() -> None:
    tokens = Tokens(ONE)
    token = tokens.make(KEY)
    assert token.startswith(Grant.AGENT)
    assert token == tokens.make(KEY) == tokens.of_instance("mailer.prod.r3.1")
    assert tokens.verify(token, NOW) == Bearer(KEY)
    assert tokens.make(AgentKey("mailer", "test")) != token


def test_every_changed_character_makes_it_worthless() -> None:
    tokens = Tokens(ONE)
    token = tokens.make(KEY)
    for place in range(len(token)):
        forged = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        # The last character of base64 holds bits that say nothing: then it is the same token in other words.
        assert tokens.verify(forged, NOW) in ((None, Bearer(KEY)) if place == len(token) - 1 else (None,))


@pytest.mark.parametrize(
    "text", ["", "tga_", "tga_!!!!", "tga_AAAA", "Bearer", "tga_" + "A" * 5000, "tga_é", "tge_AAAA", "tgi_AAAA"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    assert Tokens(ONE).verify(text, NOW) is None


def test_the_name_in_a_token_cannot_be_changed() -> None:
    text = Tokens(ONE).make(KEY).removeprefix(Grant.AGENT)
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    forged = Grant.AGENT + base64.urlsafe_b64encode(raw[:32] + b"billing\0prod").rstrip(b"=").decode()
    assert Tokens(ONE).verify(forged, NOW) is None


def test_an_enrolment_token_ends_and_a_credential_names_its_instance() -> None:
    tokens = Tokens(ONE)
    enrolment = tokens.enrolment(KEY, NOW + 60)
    assert tokens.verify(enrolment, NOW + 60) == Bearer(KEY, Grant.ENROLMENT)
    assert tokens.verify(enrolment, NOW + 61) is None
    assert enrolment != tokens.enrolment(KEY, NOW + 60)
    credential = tokens.credential(KEY, "mailer.prod.r3.1")
    assert tokens.verify(credential, NOW) == Bearer(KEY, Grant.INSTANCE, "mailer.prod.r3.1")


def test_a_token_of_one_kind_is_none_of_another() -> None:
    tokens = Tokens(ONE)
    for made in (tokens.make(KEY), tokens.enrolment(KEY, NOW), tokens.credential(KEY, "x")):
        for grant in Grant:
            if not made.startswith(grant):
                assert tokens.verify(grant + made[len(grant) :], NOW) is None


def test_another_key_makes_other_tokens_and_an_added_one_replaces_it_without_a_gap() -> None:
    old = Tokens(ONE).make(KEY)
    assert Tokens(TWO).verify(old, NOW) is None
    both = Tokens(TWO, ONE)
    assert both.verify(old, NOW) == Bearer(KEY)
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
