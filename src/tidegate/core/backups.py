"""Backups of named volumes as tasks: measure before anything stops, copy while nothing writes, put back. Pure.

A backup is a folder in a volume of the host: `/backups/AGENT.ENVIRONMENT/STAMP-rREVISION/VOLUME.tar`, with a file
`about` written last. It gets its name when it is whole. The scripts need a POSIX shell, awk, tar, du, df, find and
stat, and print lines for a person.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from tidegate.core.tasks import Work
from tidegate.model.desired import TOOLS, TaskGoal
from tidegate.model.release import AgentKey, Image, Release, Revision
from tidegate.model.rollout import AgentState, Rollout
from tidegate.model.spec import InPlace
from tidegate.model.workload import Mount, MountKind, Workload

STORE = "tidegate-backups"
"""The volume of the host that holds every agent's backups."""

MEASURE_S = 60.0

_WRITTEN_SINCE = r"""
written_since() {  # FILE FOLDER: how much of the folder is younger than the file, to the nanosecond
  find "$2" -type f -exec stat -c '%y %s' {} + | awk -v since="$(stat -c %y "$1")" '
    substr($0, 1, length(since)) > since { files++; bytes += $NF }
    END { printf "%d files of %.0f bytes\n", files, bytes }'
}
"""
"""What `find -newer` of BusyBox cannot say: it compares whole seconds, and an agent is up again within one."""

_MEASURE = r"""
mkdir -p "$HOME_OF"
ls -1 "$HOME_OF" | sort -r | { n=0; while read -r one; do
  case $one in *.part) rm -rf "$HOME_OF/$one"; continue;; "$PROTECT") continue;; esac
  n=$((n + 1)); [ "$n" -le "$KEEP" ] || { rm -rf "$HOME_OF/$one"; echo "earlier backup $one removed"; }
done; }
need=0
for volume in $VOLUMES; do
  kib=$(du -sk "/volumes/$volume" | cut -f1); need=$((need + kib)); echo "volume $volume: $kib KiB"
done
free=$(df -Pk "$HOME_OF" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)
echo "$need KiB to back up, $free KiB free"
[ "$need" -lt "$free" ] || { echo "no room for the backup: $need KiB needed, $free KiB free"; exit 28; }
"""

_BACK_UP = r"""
umask 077
here="$HOME_OF/$ID"; rm -rf "$here" "$here.part"; mkdir -p "$here.part"
total=0
for volume in $VOLUMES; do
  tar -C "/volumes/$volume" -cf "$here.part/$volume.tar" .
  total=$((total + $(stat -c %s "$here.part/$volume.tar")))
done
sync
free=$(df -Pk "$HOME_OF" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)
said="$VOLUMES: $total bytes, $free KiB free"
echo "$said" > "$here.part/about"
mv "$here.part" "$here"
echo "backup $ID of $said"
"""

_RESTORE = (
    _WRITTEN_SINCE
    + r"""
here="$HOME_OF/$ID"
[ -f "$here/about" ] || { echo "there is no backup $ID"; exit 2; }
for volume in $VOLUMES; do
  [ -f "$here/$volume.tar" ] || { echo "backup $ID does not hold volume $volume"; exit 2; }
  tar -tf "$here/$volume.tar" > /dev/null
done
said=""
for volume in $VOLUMES; do
  at="/volumes/$volume"; new="$at/.tidegate-restore"
  rm -rf "$new"
  written=$(written_since "$here/about" "$at")
  mkdir "$new"; tar -C "$new" -xpf "$here/$volume.tar"
  find "$at" -mindepth 1 -maxdepth 1 ! -name .tidegate-restore -exec rm -rf {} +
  find "$new" -mindepth 1 -maxdepth 1 -exec mv {} "$at/" \;
  chown "$(stat -c %u:%g "$new")" "$at"; chmod "$(stat -c %a "$new")" "$at"
  rmdir "$new"
  said="$said $volume ($written, written since, are gone)"
done
sync
echo "restored from $ID:$said"
"""
)


def backup_id(rollout: Rollout) -> str:
    """Name of the backup that a rollout makes: sorts by time."""
    at = datetime.fromtimestamp(rollout.started_at, UTC)
    return f"{at:%Y%m%dT%H%M%SZ}-r{rollout.candidate.number}"


def saved_volumes(rollout: Rollout, strategy: InPlace) -> tuple[str, ...]:
    """What is copied before the candidate starts: what the strategy names, and what a restore will write over."""
    asked = rollout.restoring.volumes if rollout.restoring else ()
    return tuple(dict.fromkeys((*(volume.name for volume in strategy.volumes), *asked)))


def measure(state: AgentState, rollout: Rollout, strategy: InPlace) -> Work | None:
    """How much there is and whether there is room, while stable still serves; removes what retention lets go."""
    volumes = saved_volumes(rollout, strategy)
    return _work("measure", state.key, rollout, _MEASURE, volumes, "") if volumes else None


def back_up(state: AgentState, rollout: Rollout, strategy: InPlace) -> Work | None:
    """The copy, while stable is stopped."""
    volumes = saved_volumes(rollout, strategy)
    return _work("backup", state.key, rollout, _BACK_UP, volumes, backup_id(rollout)) if volumes else None


def put_in(state: AgentState, rollout: Rollout, strategy: InPlace) -> Work | None:
    """What a person asked for: another backup's content, before the candidate starts."""
    asked = rollout.restoring
    if asked is None:
        return None
    volumes = asked.volumes or saved_volumes(rollout, strategy)
    return _work("restore", state.key, rollout, _RESTORE, volumes, asked.backup)


def put_back(state: AgentState, rollout: Rollout, strategy: InPlace) -> Work | None:
    """On the way back: the volumes that were opted in, and those that a restore wrote over."""
    asked = rollout.restoring
    opted = [volume.name for volume in strategy.volumes if volume.restore]
    written = (asked.volumes or saved_volumes(rollout, strategy)) if asked else ()
    volumes = tuple(dict.fromkeys((*opted, *written)))
    return _work("put-back", state.key, rollout, _RESTORE, volumes, backup_id(rollout)) if volumes else None


def _work(what: str, key: AgentKey, rollout: Rollout, script: str, volumes: Sequence[str], identity: str) -> Work:
    strategy = rollout.strategy
    assert isinstance(strategy, InPlace)
    reading = what in ("measure", "backup")
    workload = Workload(
        entrypoint=("sh", "-euc"),
        command=(script,),
        environment={
            "HOME_OF": f"/backups/{key}",
            "ID": identity,
            "VOLUMES": " ".join(volumes),
            "KEEP": str(strategy.keep),
            "PROTECT": rollout.restoring.backup if rollout.restoring else "",  # retention waits for what is asked for
        },
        mounts=(
            Mount(MountKind.VOLUME, "/backups", STORE),
            *(Mount(MountKind.VOLUME, f"/volumes/{name}", name, read_only=reading) for name in volumes),
        ),
        network_mode="none",
        user="0:0",
        restart="no",
    )
    image = Image(strategy.tools_image) if strategy.tools_image else TOOLS
    limit = MEASURE_S if what == "measure" else strategy.backup_timeout_s
    return Work(f"{what}-r{rollout.candidate.number}", workload, limit, image, repeatable=True)


_LIST = r"""
cd "$HOME_OF" 2> /dev/null || exit 0
for one in *; do [ -f "$one/about" ] && echo "$one $(cat "$one/about")"; done | sort -r | head -n 20
"""

_SINCE = (
    _WRITTEN_SINCE
    + r"""
here="$HOME_OF/$ID"
[ -f "$here/about" ] || { echo "there is no backup $ID"; exit 2; }
for volume in $VOLUMES; do
  [ -f "$here/$volume.tar" ] || { echo "backup $ID does not hold volume $volume"; exit 2; }
  echo "$volume: $(written_since "$here/about" "/volumes/$volume")"
done
"""
)

ASIDE = "tidegate-backups"
"""The agent in whose name a command looks at backups: no loop decides about it, so nobody clears its tasks away."""


def look(key: AgentKey, token: str, identity: str = "", volumes: Sequence[str] = ()) -> TaskGoal:
    """A task for a command: list the backups of an agent, or say what was written since one. Changes nothing."""
    mounts = [Mount(MountKind.VOLUME, f"/volumes/{name}", name, read_only=True) for name in volumes]
    workload = Workload(
        entrypoint=("sh", "-euc"),
        command=(_SINCE if identity else _LIST,),
        environment={"HOME_OF": f"/backups/{key}", "ID": identity, "VOLUMES": " ".join(volumes)},
        mounts=(Mount(MountKind.VOLUME, "/backups", STORE, read_only=True), *mounts),
        network_mode="none",
        user="0:0",
        restart="no",
    )
    nobody = Release(token, ASIDE, "", TOOLS, workload)
    return TaskGoal("look", Revision(0, key.environment, nobody, workload), workload, TOOLS)
