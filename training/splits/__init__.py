"""Who trains, chooses, sets cuts, tests: parts and folds by patient, and what is in each."""
