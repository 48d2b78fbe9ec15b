# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2154
# guests.sh - TESTING row 17: the suite under other kernels, booted in an emulator.
#
# TT_NIGHT_KERNELS  series of packaged kernels ("6.1 6.12": the oldest with our ring, and
#                   the last long-term one without MADV_GUARD_INSTALL); the image comes
#                   from apt into build/guests, nothing is installed
# TT_NIGHT_GUEST    a regular expression: only such programs (all)
#
# What is left out there, and why, says tools/guest/guest.py.
tier_about='guests: packaged kernels 6.1 and 6.12 run the suite on epoll and ring (night)'
tier_budget=10
tier_budget_night=3600

guest_tools() {
	for tool in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static strip:binutils \
		apt-get:apt dpkg-deb:dpkg; do
		have "${tool%%:*}" || missing="$missing ${tool##*:}"
	done
	[ -z "$missing" ] || absent "to have guests: apt-get install$missing"
	[ -z "$missing" ]
}

# start SERIES: the whole suite under that kernel, beside the others, into files of its own.
start() {
	out=$TT_CHECK_DIR/guest-$1.out
	image=$(tools/guest/kernel.sh "$1" build/guests 2>"$out") || return
	tools/guest/guest.py --kernel "$image" --build build/dev --plain \
		--filter "${TT_NIGHT_GUEST:-}" --seconds 3300 \
		--log "$TT_CHECK_DIR/guest-$1.log" >"$out" 2>&1 &
	started="$started $!"
}

tier_run() {
	night || { absent 'a night boots them'; return; }
	[ "$(uname -m)" = x86_64 ] || { absent 'only on x86-64'; return; }
	missing='' started=''
	guest_tools || return 0
	build dev || return
	# shellcheck disable=SC2086  # one process each
	trap '[ -z "$started" ] || kill $started 2>/dev/null' EXIT
	trap 'exit 130' INT TERM HUP
	series=${TT_NIGHT_KERNELS:-6.1 6.12}
	for one in $series; do
		start "$one"
	done
	wait
	for one in $series; do
		run_counted cat "$TT_CHECK_DIR/guest-$one.out"
		note "$(grep '^guest up' "$TT_CHECK_DIR/guest-$one.out"): $(tail -n 2 "$TT_CHECK_DIR/guest-$one.out" | head -n 1)"
	done
}
