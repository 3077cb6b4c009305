"""Names of folders of the home that more than one part of the program knows. Imports nothing."""

UPGRADES = "upgrades"  # the store as it was before the last upgrade (service.opening)
