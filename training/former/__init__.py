"""The demonstration bundle's first build; goes when the pipeline of `training` makes it."""
