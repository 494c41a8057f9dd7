"""Where the state lives, and who may read it."""

from pathlib import Path

import pytest

from tidegate.adapters.store.location import file_of, locate, prepare
from tidegate.model.errors import StoreError


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/home/a"}, "/home/a/.local/state/tidegate/tidegate.db"),
        ({"HOME": "/home/a", "XDG_STATE_HOME": "/var/x"}, "/var/x/tidegate/tidegate.db"),
        ({"HOME": "/home/a", "XDG_STATE_HOME": "relative"}, "/home/a/.local/state/tidegate/tidegate.db"),
        ({"HOME": "/home/a", "TIDEGATE_STATE": "/srv/t.db"}, "/srv/t.db"),
        ({"HOME": "/home/a", "TIDEGATE_STATE": ""}, "/home/a/.local/state/tidegate/tidegate.db"),
    ],
)
def test_the_place_follows_the_variables(environ: dict[str, str], expected: str) -> None:
    assert locate(environ) == expected


def test_a_folder_means_the_file_in_it(tmp_path: Path) -> None:
    assert file_of(str(tmp_path)) == tmp_path / "tidegate.db"
    assert file_of(f"sqlite:///{tmp_path}/x.db") == tmp_path / "x.db"
    assert file_of("postgresql://host/tidegate") is None
    with pytest.raises(StoreError, match="mysql"):
        file_of("mysql://host/tidegate")


def test_no_other_user_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / "state" / "tidegate.db"
    prepare(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_place_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        prepare(tmp_path / "file" / "tidegate.db")
