#!/bin/sh
# SPDX-License-Identifier: MIT
#
# up_check.sh - ./dev up as a stranger uses it: post an event, find it, Ctrl-C.
#
# shellcheck disable=SC2317
#
# Runs on a free loopback port with a database in a temporary folder. The last line reads
# "N passed, M failed".
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
cd "$root" || exit 1
work=$(mktemp -d) || exit 1
pid=''
passed=0 failed=0
cleanup() {
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

claim() { # text command...: the claim holds when the command succeeds
	text=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED: %s\n' "$text"
		sed 's/^/\t/' "$work/out"
	fi
}

finish() {
	printf '%s passed, %s failed\n' $passed $failed
	[ $failed -eq 0 ]
	exit
}

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port

# An asynchronous list of a shell without job control starts with SIGINT ignored, which is
# not how a terminal starts it: python gives it back.
TUTTI_LISTEN=127.0.0.1:$port TUTTI_STORE=sqlite:$work/events.db python3 -c '
import os, signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv("./dev", ["./dev", "up", "--no-install"])' >"$work/out" 2>&1 &
pid=$!

came_up() {
	tries=0
	until grep -q "tutti-gateway is up: $url" "$work/out"; do
		kill -0 "$pid" 2>/dev/null || return 1
		tries=$((tries + 1))
		[ "$tries" -lt 600 ] || return 1
		sleep 0.1
	done
}
posts() {
	answer=$(sh -c "$(grep '^curl .*signup' "$work/out")") || return 1
	case $answer in
	*'"accepted":1'*'"status":"accepted"'*) ;;
	*) echo "answer: $answer"; return 1 ;;
	esac
}
reads_back() {
	sh -c "$(grep '^curl .*/v1/events/e1$' "$work/out")" | grep -q signup
}
stored() {
	[ "$(sqlite3 "$work/events.db" "SELECT type FROM events WHERE id = 'e1'")" = signup ]
}
ends() { # signal -> the exit status is 0 within 15 s
	kill "-$1" "$pid"
	tries=0
	while kill -0 "$pid" 2>/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -lt 150 ] || return 1
		sleep 0.1
	done
	wait "$pid"
	rc=$?
	pid=''
	[ "$rc" -eq 0 ] || { echo "exit status $rc"; return 1; }
}

claim './dev up prints its address once /healthz answers' came_up
[ $failed -eq 0 ] || finish
claim 'the printed curl line stores an event' posts
claim 'the printed curl line reads it back' reads_back
claim 'the event is in the SQLite file' stored
claim 'SIGINT drains and ./dev up exits 0' ends INT
claim 'nobody listens any more' sh -c "! curl -fsS -m 2 $url/healthz 2>/dev/null"
finish
