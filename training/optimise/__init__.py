"""What one optimisation step does: losses, task gradients, schedule, augmentation."""
