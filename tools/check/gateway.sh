# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# gateway.sh - the flagship: its unit tests, then the scripts of tests/gateway against it.
tier_about='gateway: unit tests (dev), then clients against the release program, epoll and uring, and the TSan one'
tier_budget=180
tier_budget_night=1800

# Can this kernel be asked for io_uring? The program itself says.
has_uring() {
	mkdir -p "$TT_CHECK_DIR/uring" || return 1
	"$1" run --io uring --listen 127.0.0.1:0 --stop-bound 0 \
		--store "sqlite:$TT_CHECK_DIR/uring/probe.db" >"$TT_CHECK_DIR/uring/out" 2>&1 &
	probe=$!
	tries=0
	while kill -0 $probe 2>/dev/null && [ $tries -lt 50 ] &&
		! grep -q listening "$TT_CHECK_DIR/uring/out"; do
		sleep 0.1
		tries=$((tries + 1))
	done
	grep -q listening "$TT_CHECK_DIR/uring/out"
	has=$?
	kill $probe 2>/dev/null
	wait $probe
	rm -rf "$TT_CHECK_DIR/uring"
	return $has
}

# e2e PROGRAM [options]: the clients' tests, on each driver that there is.
e2e() {
	program=$1
	shift
	for io in epoll uring; do
		if [ $io = uring ] && ! has_uring "$program"; then
			skip 1
			note 'io_uring is not available here: e2e.py ran on epoll only'
			continue
		fi
		run_counted tools/no_aslr.sh tests/gateway/e2e.py --gateway "$program" --io $io "$@"
	done
}

tier_run() {
	build dev && run_ctest dev unit -L gateway
	build release || return
	[ -x build/release/bin/tutti-gateway ] || { absent 'no tutti-gateway'; return; }
	e2e build/release/bin/tutti-gateway
	if have clang && build tsan; then
		TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:atexit_sleep_ms=0
		export TSAN_OPTIONS
		e2e build/tsan/bin/tutti-gateway
	else
		absent 'no clang'
	fi
	night || return 0
	build asan && e2e build/asan/bin/tutti-gateway
	round=0
	while [ $round -lt 20 ]; do
		e2e build/release/bin/tutti-gateway --jobs 8
		round=$((round + 1))
	done
}
