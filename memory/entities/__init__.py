"""What agents keep by the nine tools of the MCP memory server: entities with observations, and relations between names.

`graph` is what is held, in the order in which it was given and character for character; `store` changes it. Each
observation, relation and type of one's own is also a note in the space's graph (memory.exchange.notes), so that a
question, the night and an erasure reach it as they reach any message.
"""
