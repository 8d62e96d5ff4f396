"""The TOML file of an experiment, one module per part."""
