# Makes a table of what `go test -v` prints of faults: row, tries, survived. What a test that fails has said is printed before. Tests that
# are named after no fault are counted.
/^=== RUN / { if ($3 !~ /\//) said = ""; next }
/^ *[a-z_]+_test\.go:[0-9]+: / { said = said $0 "\n" }
/^--- FAIL: / { printf "%s\n%s", $0, said }
/^ *--- (PASS|FAIL|SKIP): / {
	name = $3; result = $2; sub(/:$/, "", result)
	depth = gsub(/\//, "/", name)
	split(name, part, "/"); row = part[1]; if (row ~ /^(TestKilled|TestDrill)/ && depth > 0) row = part[1] "/" part[2]
	if (row !~ /^Test(Fault|Killed|Nearly|Interrupted|Random|Overwritten|Damaged|Drill)/) { if (depth == 0) others[result]++; next }
	if (!(row in tries)) order[++rows] = row
	if (depth == 0 && row in children) next
	if (depth > 0) children[part[1]] = 1
	tries[row]++
	if (result == "PASS") survived[row]++
	if (result == "SKIP") skipped[row]++
	next
}
/real_killed_test\.go:[0-9]+: .* healed \[/ { cuts++ }
/^(ok|FAIL)/ { end[++ends] = $0; if ($1 == "FAIL") failed = 1 }
END {
	printf "%-90s %6s %9s\n", "FAULT", "TRIES", "SURVIVED"
	for (i = 1; i <= rows; i++) { r = order[i]; printf "%-90s %6d %9s\n", r, tries[r], skipped[r] ? "skipped" : survived[r] + 0 }
	printf "other tests: %d passed, %d failed, %d skipped\n", others["PASS"], others["FAIL"], others["SKIP"]
	printf "TestKilledCommandsAreHealed killed %d commands\n", cuts
	for (i = 1; i <= ends; i++) print end[i]
	exit failed
}
