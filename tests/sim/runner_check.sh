#!/bin/sh
# SPDX-License-Identifier: MIT
#
# runner_check.sh TUTTI-SIM RACY - tutti-sim finds the race of tests/sim/racy.c, needs few of
# its choices, and prints a line that repeats it; it finds nothing where nothing is, and
# refuses nonsense.
set -eu

runner=$1
racy=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/tutti-runner.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

fail() {
	echo "$1"
	cat "$work/out"
	exit 1
}

# expect STATUS COMMAND... - its output is in $work/out
expect() {
	want=$1
	shift
	got=0
	"$@" >"$work/out" 2>&1 || got=$?
	[ "$got" -eq "$want" ] || fail "exit status $got instead of $want: $*"
}

expect 1 "$runner" --seeds 2000 --keep "$work/schedule" "$racy"
grep -q 'exit status 3$' "$work/out" || fail 'does not say how the program failed'
needed=$(sed -n 's/^\([0-9]*\) of [0-9]* choices are needed.*/\1/p' "$work/out")
all=$(sed -n 's/^[0-9]* of \([0-9]*\) choices are needed.*/\1/p' "$work/out")
[ -n "$needed" ] || fail 'does not say how many choices are needed'
[ "$needed" -le 6 ] && [ "$all" -gt 20 ] || fail "$needed of $all choices: not shrunk"

line=$(tail -n 1 "$work/out")
expect 3 sh -c "$line"
expect 3 sh -c "$line"

expect 0 "$runner" --seeds 50 "$racy" without
grep -q '^50 seeds from 0: no failure$' "$work/out" || fail 'does not say that it found nothing'
expect 2 "$runner"
expect 2 "$runner" --seeds many "$racy"
expect 2 "$runner" --frobnicate 1 "$racy"
expect 2 "$runner" "$work/nowhere"
echo "racy: $needed of $all choices"
