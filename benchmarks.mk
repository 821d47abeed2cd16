# Measures everything for real and rewrites docs/benchmarks.md; memory alone writes 10 GB below TMPDIR. Included by the Makefile.

BENCHMARKS := catch_up latency memory scale start fleet

.PHONY: benchmarks

benchmarks: $(VENV)/development ## every benchmark for real, then docs/benchmarks.md (PEER='--peer NAME=COMMAND' for catch_up)
	$(BIN)/python -m benchmarks.catch_up $(PEER)
	for name in $(filter-out catch_up,$(BENCHMARKS)); do $(BIN)/python -m benchmarks.$$name || exit 1; done
	$(BIN)/python -m benchmarks.report
