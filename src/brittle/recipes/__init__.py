"""Published experiments as recipes: what they ran, what they claim, and how it is run again. One TOML file each."""
