"""What the command line does with conversations that were held with personas: list, show, withdraw a claim."""

from __future__ import annotations

from typing import Any

from service.wiring import Services


def chats(services: Services, *, person: str | None) -> list[dict[str, Any]]:
    """Every session, the newest first; those of one person's persona where asked. Raises UnknownPerson."""
    from memory.sessions import list_sessions, session_json

    who = services.person(person).id if person else None
    found = list_sessions(services.database, services.space_id, person_id=who)
    return [session_json(session) for session in found]


def chat(services: Services, session_id: str) -> dict[str, Any]:
    """One session with its turns: what was said, and what each turn rested on. Raises UnknownSession."""
    from memory.claims import claim_json, list_claims
    from memory.facts import ALL_STATUSES, fact_json, list_facts
    from memory.session_text import messages
    from memory.sessions import get_session, list_turns, session_json, turn_json

    database, space_id = services.database, services.space_id
    session = get_session(database, space_id, session_id)
    turns = list_turns(database, space_id, session.id)
    said = {one.id: one for one in messages(database, space_id, session.id)}
    wanted = {fact_id for turn in turns for fact_id in turn.facts}
    every = list_facts(database, space_id, services.registry, statuses=ALL_STATUSES) if wanted else []
    facts = {fact.id: fact_json(fact) for fact in every if fact.id in wanted}
    spoken = {turn.episode_id for turn in turns if turn.episode_id}
    claims = list_claims(database, space_id, episodes=spoken, states=()) if spoken else []
    rows = []
    for turn in turns:
        heard, reply = said.get(turn.answers_id or ""), said.get(turn.episode_id or "")
        rows.append(
            turn_json(turn)
            | {
                "heard": {"speaker": heard.speaker, "text": heard.text} if heard else None,
                "reply": {"speaker": reply.speaker, "text": reply.text} if reply else None,
                "facts": [
                    {"place": place, "fact": facts.get(fact_id, {"id": fact_id})}
                    for fact_id, place in turn.facts.items()
                ],
                "claims": [claim_json(one) for one in claims if one.episode_id == turn.episode_id],
            }
        )
    return session_json(session) | {"turns": rows}


def export(services: Services, session_id: str, format_: str) -> list[str]:
    """Lines of what was said, each marked as simulated: `whatsapp` as that program writes them, or `jsonl`.

    Raises UnknownSession.
    """
    from memory.session_text import json_lines, whatsapp_lines

    write = json_lines if format_ == "jsonl" else whatsapp_lines
    return list(write(services.database, services.space_id, session_id))


def claims(services: Services, *, person: str | None, everything: bool) -> list[dict[str, Any]]:
    """What personas made up and stand by, the newest first; with `everything` also what rests on facts, and what
    was withdrawn. Raises UnknownPerson."""
    from memory.claims import Basis, claim_json, list_claims

    made_up: tuple[Basis, ...] = ("invented",)
    who = services.person(person).id if person else None
    found = list_claims(
        services.database,
        services.space_id,
        person_id=who,
        bases=() if everything else made_up,
        states=() if everything else ("kept",),
    )
    return [claim_json(one) for one in found]


def withdraw(services: Services, claim_id: str) -> list[str]:
    """Ids of the claim and of what repeated it. Raises UnknownClaim."""
    from memory.claims import withdraw as take_back

    return take_back(services.database, services.space_id, claim_id, clock=services.clock)
