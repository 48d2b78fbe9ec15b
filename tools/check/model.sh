# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2154
# model.sh - TESTING row 3: every lock-free structure under the model checker, and every order
# weakened one step. What the figures mean: docs/internals/model-checker.md.
tier_about='model checking of every atomic access, and the mutation rule'
tier_budget=150
tier_budget_night=18000

# Executions of the code as it is; those of mutants come on top.
executions=20000000
executions_night=5000000000

tier_run() {
	build release || return
	! night || executions=${TT_NIGHT_EXECUTIONS:-$executions_night}
	run_counted tests/model/summary.py --bin build/release/bin --executions "$executions" --jobs "$jobs"
}
