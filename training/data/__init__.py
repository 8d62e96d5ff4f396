"""From a site's table and ECG files to a cohort and its prepared arrays."""
