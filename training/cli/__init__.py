"""The command line `ecgbatch-train`."""
