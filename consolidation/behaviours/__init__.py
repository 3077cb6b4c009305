"""The behaviours that slowwave ships, a file each; read by `consolidation.behaviour`."""
