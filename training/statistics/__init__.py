"""Measures of how risks rank and how strata hold, each with its interval; no drawing."""
