SECONDS ?= 600
SEED ?= 1

.PHONY: faults fuzz

faults: $(VENV)/development ## play random fault scenarios for SECONDS (600) from SEED (1) on, all isolation scenarios, and 50 kills
	$(BIN)/python -m tests.faults --seconds $(SECONDS) --seed $(SEED)
	$(BIN)/python -m tests.faults.isolation
	$(BIN)/python -m tests.resume.killing --kills 50

fuzz: $(VENV)/development ## fuzz the parsers with hostile lines, guided by coverage, for SECONDS (600)
	$(PIP) install atheris==3.0.0
	$(BIN)/python -m tests.faults.guided -max_total_time=$(SECONDS)
