#!/bin/sh
# SPDX-License-Identifier: MIT
#
# gdb_check.sh PROGRAM SCRIPT - tools/gdb/tutti-gdb.py shows the tasks and the stacks of
# PROGRAM (tests/gdb/parked.c): while it runs, and, where this system writes core files
# into the working directory, of the kernel's core file, also of the program
# without debug information. Exit 77 where there is no gdb, or it may not trace.
#
# A core file that gdb itself writes (gcore) is not tried: it stops reading a mapping at
# the first guard page, and so lacks the stacks behind it.
set -eu

program=$1
script=$2
command -v gdb >/dev/null || { echo 'no gdb here'; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/tutti-gdb.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

# Answers nothing, asks no server, reads no one's start-up files.
debug() {
	DEBUGINFOD_URLS='' gdb -nx -batch -iex 'set auto-load off' "$@" 2>&1
}

expect() {
	grep -Eq "$2" "$work/$1" && return
	echo "not in the output of $1: $2"
	cat "$work/$1"
	exit 1
}

look='tutti tasks'
debug -ex 'break everybody_is_parked' -ex run -ex "source $script" -ex "$look" -ex 'tutti bt all' \
	-ex 'tutti bt 99' "$program" >"$work/live" || true
if grep -q 'ptrace\|not being run' "$work/live"; then
	echo 'gdb may not trace here'
	exit 77
fi

expect live '^3 tasks$'
expect live '^app#[0-9]+ running on worker 0, spawned at .*parked\.c:[0-9]+'
expect live '^  receiver#[0-9]+ parked on worker 0, recv 0x[0-9a-f]+ for [0-9.]+ s.*parked\.c'
expect live '^  sleeper#[0-9]+ parked on worker 1, sleep.* for [0-9.]+ s'
expect live '    #[0-9]+ 0x[0-9a-f]+ in waits_for_an_item'
expect live '    #[0-9]+ 0x[0-9a-f]+ in sleeps_long'
expect live 'no live task has the number 99'

core=$(cd "$work" && ulimit -c unlimited && "$program" abort >/dev/null 2>&1 || true; ls "$work"/core* 2>/dev/null | head -n 1)
if [ -z "$core" ]; then
	echo 'no core file here: only the live process was looked at'
	exit 0
fi
debug -ex "source $script" -ex "$look" -ex 'tutti bt all' "$program" "$core" >"$work/core_text"
expect core_text '^3 tasks$'
expect core_text '    #[0-9]+ 0x[0-9a-f]+ in waits_for_an_item'
expect core_text '    #[0-9]+ 0x[0-9a-f]+ in sleeps_long'

# Without debug information: fields by the table, stacks by call frame information.
strip --strip-debug -o "$work/stripped" "$program"
debug -ex "source $script" -ex "$look" -ex 'tutti bt all' "$work/stripped" "$core" >"$work/stripped_text" || true
expect stripped_text '^3 tasks$'
expect stripped_text '^  receiver#[0-9]+ parked on worker 0, recv '
expect stripped_text '    #[0-9]+ 0x[0-9a-f]+ in sleeps_long'
