# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# limits.sh - TESTING rows 15 and 17: the suite where the system gives little.
#
# Each run is the kit tests of the dev build under one limit. What the tests themselves
# need beyond it is left out by name. Limits that are for good (no threads, no address
# space, no streams, a full table of descriptors) are in tests/integration/limits_test.c,
# a full disk is in src/net/file_test.c; both run here too.
tier_about='little memory locked, few descriptors, no privileges, a ring of 8 entries, 96 MiB'
tier_budget=90
tier_budget_night=900

# 200 children have three pipes each, libcurl opens descriptors of its own, and these
# fill tables of their own.
need_descriptors='net\.file|net\.process|net\.pass|ext-|gateway\.|integration\.limits'

# One starts runtimes on the ring by name, which then says -ENOMEM; the other's torture wants
# folders that this user may not make.
need_rights='integration\.(limits|syscall_runtime)'

# suite NAME BACKEND FILTER WRAP: a sample by day, everything on 1 and 4 workers at night.
suite() {
	echo "== $1"
	workers=4
	filter=$3
	if night; then
		workers=1,4
		filter=$4
	fi
	run_counted tools/kit_run.py --build "$build" --on "$2" --workers $workers \
		--filter "$filter" --wrap "$5"
}

# A copy of the test programs that any user may read and run, and a home for him.
copy_for_nobody() {
	build=$(mktemp -d "${TMPDIR:-/tmp}/tutti-limits.XXXXXX") || return
	mkdir "$build/bin" "$build/home" || return
	cp build/dev/tests.txt "$build" && cp build/dev/bin/*_test "$build/bin" || return
	[ "$(id -u)" -ne 0 ] || chown -R "$nobody:$nobody" "$build/home" || return
	chmod -R a+rX "$build"
}

# Words that make a command run as a user without any right; as who we are when that is none.
as_nobody() {
	here="env -C $build/home HOME=$build/home TMPDIR=$build/home PATH=/usr/bin:/bin"
	if [ "$(id -u)" -eq 0 ]; then
		echo "setpriv --reuid=$nobody --regid=$nobody --clear-groups --inh-caps=-all" \
			"--bounding-set=-all --no-new-privs $here"
	else
		echo "$here"
	fi
}

locked_memory() {
	for bytes in 0 65536; do
		suite "$bytes bytes of locked memory, nobody, auto" auto '^(io|net|scope)\.' "^(?!$need_rights)" \
			"prlimit --memlock=$bytes:$bytes $(as_nobody)"
		night || break
	done
	# The ring and nothing else: it runs, or says why not.
	# shellcheck disable=SC2046  # words
	said=$(prlimit --memlock=0:0 $(as_nobody) "$build/bin/channel_test" --on=uring \
		--workers=4 --only=channel.keeps_order 2>&1)
	case $said in
	*'1 passed'* | *'(ENOMEM)'*) pass 1 ;;
	*) fail "no locked memory, uring: $said" ;;
	esac
}

# A group of processes with 96 MiB between them, where this machine lets us make one.
with_little_memory() {
	for root in /sys/fs/cgroup/memory /sys/fs/cgroup; do
		group=$root/tutti-limits.$$
		mkdir "$group" 2>/dev/null || continue
		for name in memory.limit_in_bytes memory.max; do
			if [ -w "$group/$name" ] && echo 100663296 >"$group/$name"; then
				cat >"$build/in-group" <<-TEXT
				#!/bin/sh
				echo \$\$ >$group/cgroup.procs && exec "\$@"
				TEXT
				chmod +x "$build/in-group"
				suite '96 MiB for two programs at once' epoll '^(net|sync|stream)\.' \
					'^(?!integration|par|ext-|gateway)' "$build/in-group"
				rmdir "$group"
				return
			fi
		done
		rmdir "$group"
	done
	note 'no memory cgroup can be made here: that run is left out'
}

tier_run() {
	build dev || return
	nobody=65534
	trap 'rm -rf "$build"' EXIT
	copy_for_nobody || { fail "no copy of the build in $build"; return; }

	locked_memory
	suite '64 descriptors' epoll '^(net\.(tcp|unix|poll|transfer)|scope|sync)' \
		"^(?!$need_descriptors)" 'prlimit --nofile=64:64'
	suite 'a ring of 8 entries that overflows' uring '^(io|net|stream)\.|foreign' '' \
		'env TUTTI_RING_TINY=1'
	suite 'no folder to write to' epoll '^(obs|par|task|rt)\.' '^(?!net\.(file|sendfile|unix)|integration\.syscall|ext-|gateway|io)' \
		'env TMPDIR=/proc HOME=/proc XDG_RUNTIME_DIR=/proc'
	suite 'closed for good: streams, threads, address space' epoll '^integration\.limits$' \
		'^integration\.limits$' env
	with_little_memory
}
