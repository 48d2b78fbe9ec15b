#!/bin/sh
# SPDX-License-Identifier: MIT
#
# example_check.sh DRIVER PROGRAM EXPECTED [RUNNER] - run an example and compare what it
# prints with the file that says what it should. Exit 77: this kernel lacks the driver.
set -eu

driver=$1
program=$2
expected=$3
shift 3

export TUTTI_IO="$driver"
export TUTTI_WORKERS=2
out=$(mktemp "${TMPDIR:-/tmp}/tutti-example.XXXXXX")
trap 'rm -f "$out" "$out.err"' EXIT INT TERM

status=0
"$@" "$program" >"$out" 2>"$out.err" || status=$?
if [ "$driver" = uring ] && grep -q 'cannot start a runtime' "$out.err"; then
	echo "no io_uring here"
	exit 77
fi
if [ "$status" -ne 0 ]; then
	echo "exit status $status"
	cat "$out.err"
	exit 1
fi
if ! diff -u "$expected" "$out"; then
	cat "$out.err"
	exit 1
fi
