"""Fine-tunes the net and exports the bundle that ecgbatch scores with."""
