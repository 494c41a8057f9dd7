"""A state on a server: what is said when it cannot be used."""

import importlib.util

import pytest

from tidegate.adapters.store.opening import open_state
from tidegate.model.errors import StoreError


async def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(StoreError) as caught:
        await open_state("postgresql://tidegate:hunter2@127.0.0.1:9/state")
    told = f"{caught.value.message} {caught.value.hint}"
    assert "hunter2" not in told
    if importlib.util.find_spec("psycopg") is None:
        assert "tidegate[postgresql]" in told
    else:
        assert "127.0.0.1:9" in told
