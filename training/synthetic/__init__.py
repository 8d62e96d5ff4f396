"""A seeded cohort of synthetic patients, as values and as files."""
