"""From a finished run to a bundle that ecgbatch has proved it can score with, and its card."""
