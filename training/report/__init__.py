"""Findings as a page to read, and as rows of the table of evidence."""
