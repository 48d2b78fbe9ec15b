#!/bin/sh
# SPDX-License-Identifier: MIT
# sim_repro.sh - the same seeds give the same traces in another process, under another
# address layout, and from the other compiler's build.
#
#	tools/sim_repro.sh PROGRAM [OTHER-PROGRAM]     builds of sim_client_server_test
#
# SEEDS (50) seeds each. Compares PROGRAM with itself, with itself without address
# randomisation, and with OTHER-PROGRAM when it is given; and the whole text of one trace.
# Exit 0 when all agree.
set -eu

program=$1
other=${2:-$1}
seeds=${SEEDS:-50}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# hashes FILE COMMAND...
hashes() {
	file=$1
	shift
	TUTTI_SIM_HASHES=$file "$@" --only=sim_client_server.hashes --seeds="$seeds" >"$work/out" 2>&1 ||
		{ cat "$work/out" >&2; exit 1; }
	[ -s "$file" ] || { echo "sim_repro: no hashes from $*" >&2; exit 1; }
}

# trace FILE PROGRAM
trace() {
	TUTTI_SEED=7 TUTTI_SIM_TRACE=$1 TUTTI_SIM_HASHES=$work/ignored "$2" \
		--only=sim_client_server.hashes >/dev/null 2>&1
	[ -s "$1" ] || { echo "sim_repro: no trace from $2" >&2; exit 1; }
}

hashes "$work/first" "$program"
hashes "$work/again" "$program"
hashes "$work/fixed" setarch -R "$program"
hashes "$work/other" "$other"
for run in again fixed other; do
	cmp "$work/first" "$work/$run"
done
trace "$work/trace.first" "$program"
trace "$work/trace.other" "$other"
cmp "$work/trace.first" "$work/trace.other"
echo "sim_repro: $seeds seeds agree in 4 processes; one trace of $(wc -l <"$work/trace.first") lines is the same to the byte"
