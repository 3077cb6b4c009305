"""The LoRA trainer; runs in a child process."""
