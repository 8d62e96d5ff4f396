"""What moved a bundle's output for one ECG, drawn over its page."""
