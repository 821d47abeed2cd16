SECONDS ?= 600
SEED ?= 1

.PHONY: faults fuzz

faults: $(VENV)/development ## play fault scenarios for SECONDS (600), from SEED (1) on
	$(BIN)/python -m tests.faults --seconds $(SECONDS) --seed $(SEED)
	$(BIN)/python -m tests.resume.killing --kills 50

fuzz: $(VENV)/development ## hostile lines guided by coverage, for SECONDS (600)
	$(PIP) install atheris==3.0.0
	$(BIN)/python -m tests.faults.guided -max_total_time=$(SECONDS)
