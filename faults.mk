SECONDS ?= 600
SEED ?= 1

.PHONY: faults
faults: ## play fault scenarios for SECONDS (600), from SEED (1) on
	.venv/bin/python -m tests.faults --seconds $(SECONDS) --seed $(SEED)
	.venv/bin/python -m tests.resume.killing --kills 50
