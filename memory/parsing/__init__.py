"""Reading what strangers made in a process of its own, with limits: `child` starts and watches it, `lines` is what it says.

The child opens one file, understands it with the importers and writes plain records. It has no secrets in its
environment, writes one file, and ends with whoever started it.
"""
