# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# aarch64.sh - TESTING row 17: the other architecture, cross-built, under qemu-user.
tier_about='aarch64 under qemu-user: switch, sim and epoll'
tier_budget=240
tier_budget_night=3600

# The emulator does not tell that control data was cut off (pass), it ignores a limit on address
# space (limits), and resident pages count its own (stacks, idle). Its clone() knows no pidfd and
# no such child, and a program cannot start itself again: what is labelled "children".
emulator_lacks='^net\.pass:|^integration\.(limits|stacks|idle)'

tier_run() {
	have aarch64-linux-gnu-gcc || { absent 'no aarch64-linux-gnu-gcc'; return; }
	have qemu-aarch64 || { absent 'no qemu-aarch64'; return; }
	build aarch64 || return
	if night; then
		run_ctest aarch64 all -E ":uring|$emulator_lacks" -LE children --timeout 900
	else
		run_ctest aarch64 smoke -R '^(arch|base|fiber|timer)\.[a-z0-9_]+$|^(task|wait|scope|sync|sched|net)\.[a-z0-9_]+:sim1$|^(task|sync|net)\.[a-z0-9_]+:epoll1$' \
			-E "$emulator_lacks" -LE children
	fi
}
