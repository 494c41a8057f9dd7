#!/bin/sh
# Make sure that a Docker Engine answers, and that the tools which tests and images need are there.
#
#   scripts/engine.sh          find an engine; on Debian or Ubuntu, as root, install and start one where none runs
#   scripts/engine.sh --tests  the same, and what only the tests need: Debian's Prometheus, Alertmanager and registry
#   scripts/engine.sh --stop   stop the engine that this script started; any other is left alone
#
# Prints the engine's address (for DOCKER_HOST) on stdout. Its state, pid and log: TIDEGATE_ENGINE_STATE, by default
# $XDG_STATE_HOME/tidegate/engine or ~/.local/state/tidegate/engine.
set -eu

state=${TIDEGATE_ENGINE_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/tidegate/engine}
pidfile=$state/dockerd.pid
log=$state/dockerd.log
default=unix:///var/run/docker.sock

say() { printf 'engine: %s\n' "$1" >&2; }
die() { say "$1"; exit 1; }

answers() {  # address: does an engine answer there?
    case $1 in
        unix://*)
            [ -S "${1#unix://}" ] || return 1
            python3 - "${1#unix://}" <<'PING' 2>/dev/null
import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(3); s.connect(sys.argv[1])
s.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
sys.exit(0 if b" 200 " in s.recv(64) else 1)
PING
            ;;
        *) command -v docker >/dev/null 2>&1 && timeout 10 docker --host "$1" version >/dev/null 2>&1 ;;
    esac
}

ours() {  # is the engine that we started still running? (the pid may be another process's by now)
    [ -f "$pidfile" ] || return 1
    pid=$(cat "$pidfile")
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] && grep -qz -- "$pidfile" "/proc/$pid/cmdline"
}

stop() {
    if ! ours; then say "no engine here was started by this script: nothing to stop"; rm -f "$pidfile"; return 0; fi
    pid=$(cat "$pidfile")
    left=$(docker --host $default ps -q | wc -l)
    [ "$left" = 0 ] || { say "left running: $left containers still use the engine (pid $pid)"; return 0; }
    kill "$pid"
    n=0
    while ours; do
        n=$((n + 1)); [ $n -lt 200 ] || die "dockerd (pid $pid) did not stop within 20 s of SIGTERM; see $log"
        sleep 0.1
    done
    ip link del docker0 2>/dev/null || true
    rm -f "$pidfile" "$log" "$state/apt.log"
    rmdir "$state" 2>/dev/null || true
    say "stopped the engine that this script had started"
}

tools() {  # Debian packages that tests and local images need: package, program
    missing=
    command -v git >/dev/null 2>&1 || missing="$missing git"
    if [ "$(uname -s)" = Linux ]; then
        command -v ip >/dev/null 2>&1 || missing="$missing iproute2"
        command -v iptables >/dev/null 2>&1 || missing="$missing iptables"
        command -v nsenter >/dev/null 2>&1 || missing="$missing util-linux"
        command -v busybox >/dev/null 2>&1 || missing="$missing busybox-static"
        [ -f /etc/ssl/certs/ca-certificates.crt ] || [ ! -d /etc/debian_version ] || missing="$missing ca-certificates"
    fi
    if [ "${1:-}" = tests ] && [ -f /etc/debian_version ]; then
        command -v prometheus >/dev/null 2>&1 || missing="$missing prometheus"
        command -v prometheus-alertmanager >/dev/null 2>&1 || missing="$missing prometheus-alertmanager"
        command -v docker-registry >/dev/null 2>&1 || missing="$missing docker-registry"
    fi
    [ -z "$missing" ] || install_packages $missing
}

install_packages() {
    if ! command -v apt-get >/dev/null 2>&1; then
        die "missing:$(printf ' %s' "$@"). Install them with this system's package manager, then run it again"
    fi
    [ "$(id -u)" = 0 ] || die "missing:$(printf ' %s' "$@"). Run: sudo apt-get install --no-install-recommends $*"
    say "installing $*"
    mkdir -p "$state"
    {
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -qq -y --no-install-recommends "$@"
    } >"$state/apt.log" 2>&1 || { tail -n 5 "$state/apt.log" >&2; die "apt-get could not install $*: see $state/apt.log"; }
}

start() {
    mkdir -p "$state"
    : >"$log"
    # The daemon itself, not `service docker start`: its init script asks for more open files than may be allowed.
    # What a killed daemon left is taken for alive where PID 1 does not reap: forget what is dead.
    for stale in "$pidfile" /var/run/docker.pid /run/docker/containerd/containerd.pid; do
        if [ -f "$stale" ]; then
            status=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$(cat "$stale")/status" 2>/dev/null || true)
            case $status in '' | Z) rm -f "$stale" ;; esac
        fi
    done
    setsid dockerd --host=$default --pidfile="$pidfile" --live-restore >"$log" 2>&1 </dev/null &
    child=$!
    n=0
    until answers $default; do
        n=$((n + 1))
        kill -0 $child 2>/dev/null || { tail -n 5 "$log" >&2; die "dockerd ended at once: see $log"; }
        [ $n -lt 300 ] || { tail -n 5 "$log" >&2; die "dockerd did not answer within 30 s: see $log"; }
        sleep 0.1
    done
    say "started dockerd (pid $(cat "$pidfile"), log $log)"
}

find_or_start() {
    if [ -n "${DOCKER_HOST:-}" ]; then
        answers "$DOCKER_HOST" || die "no engine answers at DOCKER_HOST=$DOCKER_HOST: start it, or unset DOCKER_HOST"
        echo "$DOCKER_HOST"; return
    fi
    for address in $default "unix://$HOME/.docker/run/docker.sock" "unix://${XDG_RUNTIME_DIR:-/nowhere}/docker.sock"; do
        if answers "$address"; then echo "$address"; return; fi
    done
    [ "$(uname -s)" = Linux ] || die "no Docker Engine answers: start Docker Desktop (or colima start), then run it again"
    [ "$(id -u)" = 0 ] || die "no Docker Engine answers. Start it (sudo systemctl start docker), join the group docker, or run this as root"
    command -v dockerd >/dev/null 2>&1 || {
        [ -f /etc/debian_version ] || die "no Docker Engine answers: install Docker Engine as its documentation says for this system, then run it again"
        install_packages docker.io iptables
    }
    answers $default || start  # installing the package may have started it
    echo $default
}

case ${1:-} in
    --stop) stop ;;
    '') tools; find_or_start ;;
    --tests) tools tests; find_or_start ;;
    *) die "usage: scripts/engine.sh [--stop | --tests]" ;;
esac
