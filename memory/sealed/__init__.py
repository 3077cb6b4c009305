"""Homes that nobody reads without their key (docs/adr/0060).

`keys` reads keys and derives others, `pieces` is the form of a sealed file, `homes` keeps a home's files sealed on the disk and
readable in memory for as long as it is open. A plain home imports nothing of `cryptography`.
"""
