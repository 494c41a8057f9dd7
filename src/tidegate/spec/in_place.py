"""strategy.in_place: shapes and what they become."""

import re
from typing import Any

from tidegate.model.spec import BackedUp, InPlace, Verify, VersionIn
from tidegate.spec.context import Context
from tidegate.spec.kinds import choice, duration, flag, free, text, whole
from tidegate.spec.scalars import duration_text
from tidegate.spec.shapes import INVALID, Either, Key, ListOf, Object, Record, own

VOLUME = r"[A-Za-z0-9][A-Za-z0-9_.\-]*"
_DEFAULT = InPlace()
_NAME = text("a volume's name", VOLUME, example="data")


class _Named:
    """A volume by its name alone."""

    expected = _NAME.expected

    def read(self, node: Any, context: Context) -> Any:
        """A volume that is backed up and not put back by itself."""
        name = _NAME.read(node, context)
        return name if name is INVALID else BackedUp(name)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """A text."""
        return _NAME.schema(definitions)


def _volume(record: Record, context: Context) -> object:
    return BackedUp(record["name"], record.get("restore", False)) if "name" in record else INVALID


_VOLUME = Object(
    "backed_up_volume",
    "A named volume to back up.",
    own(
        Key("name", _NAME, "Its name, as in workload.volumes.", required=True),
        Key("restore", flag(), "A rollback puts the backup back; what was written since is lost.", "false"),
    ),
    build=_volume,
)
BACKUP = Object(
    "backup",
    "Copies of named volumes, made while the agent is stopped. `tidegate backup list` shows them.",
    own(
        Key(
            "volumes",
            ListOf(Either("a volume", scalar=_Named(), mapping=_VOLUME), least=1, expected="a list of volumes"),
            "What is copied.",
            required=True,
        ),
        Key("keep", whole(0, 1000), "Earlier backups that are kept beside the new one.", str(_DEFAULT.keep)),
        Key(
            "timeout",
            duration(0.001),
            "A copy that takes longer is given up, and the former container started again.",
            duration_text(_DEFAULT.backup_timeout_s),
        ),
        Key(
            "image",
            text("an image"),
            "An image with sh, tar, du, df, find and stat to copy with.",
            "a small one that Tidegate makes",
        ),
    ),
)


def _pattern(written: str) -> str:
    try:
        re.compile(written)
    except re.error as error:
        raise ValueError(f"{error}: mend the regular expression") from None
    return written


def _verify(record: Record, context: Context) -> Verify:
    default = Verify()
    return Verify(
        fatal=record.get("fatal", default.fatal),
        version_in=VersionIn(record.get("version_in", default.version_in)),
        expected=record.get("expected", default.expected),
        deadline_s=record.get("deadline", default.deadline_s),
    )


VERIFY = Object(
    "verify",
    "What must be seen of the new container beside running and ready; else the former one comes back.",
    own(
        Key(
            "fatal",
            free("a regular expression", _pattern, 'write "FATAL|panic:", or "" for none'),
            'A line of its log that matches this turns back at once; "" looks for none.',
            f"`{Verify().fatal}`".replace("|", "\\|"),
        ),
        Key("version_in", choice(*(item.value for item in VersionIn)), "Where its version must show.", "nowhere"),
        Key(
            "expected",
            text("a text", example='"agent {version} started"'),
            "What one line of the log must hold; {version} stands for the release's version.",
            "{version}",
        ),
        Key("deadline", duration(0.001), "Time for all of this.", duration_text(Verify().deadline_s)),
    ),
    build=_verify,
)


def _in_place(record: Record, context: Context) -> InPlace:
    backup: Record | dict[str, Any] = record.get("backup", {})
    return InPlace(
        volumes=backup.get("volumes", ()),
        keep=backup.get("keep", _DEFAULT.keep),
        backup_timeout_s=backup.get("timeout", _DEFAULT.backup_timeout_s),
        tools_image=backup.get("image", ""),
        verify=record.get("verify", _DEFAULT.verify),
        refuse_breaking=record.get("refuse_breaking", _DEFAULT.refuse_breaking),
        bake_s=record.get("bake", _DEFAULT.bake_s),
        progress_deadline_s=record.get("progress_deadline", _DEFAULT.progress_deadline_s),
    )


IN_PLACE = Object(
    "in_place",
    "Stop stable, back up its data, start the candidate in its place: for an agent that cannot run twice.",
    own(
        Key("backup", BACKUP, "Volumes that are copied in between.", "none"),
        Key("verify", VERIFY, "What must be seen of the new container.", "see below"),
        Key(
            "refuse_breaking",
            flag(),
            "A major version, or an image labelled dev.tidegate.breaking, waits for a person's word.",
            "true",
        ),
        Key("bake", duration(), "Time to watch; until then the former container is kept.", "30s"),
        Key("progress_deadline", duration(0.001), "Time for the image to come.", "10m"),
    ),
    build=_in_place,
    may_be_empty=True,
)
