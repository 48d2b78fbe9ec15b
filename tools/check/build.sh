# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# build.sh - everything compiles without a warning.
tier_about='gcc builds: release, dev, asan'
tier_budget=180
tier_budget_night=300

tier_run() {
	presets='release dev asan'
	! quick || presets=dev
	for preset in $presets; do
		if build "$preset"; then
			pass 1
		fi
	done
}
