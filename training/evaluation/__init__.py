"""What an evaluation computes and draws, one module per section."""
