"""Long work that waits its turn: the queue, its worker, and what is uploaded for it."""
