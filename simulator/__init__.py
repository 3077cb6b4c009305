"""The persona by day: session, perspective, sampling, stop at the next tag, write-back."""
