"""The net that a fit begins with."""
