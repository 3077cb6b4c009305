"""Chat models behind one interface: local, OpenAI-compatible, Gemini, scripted."""
