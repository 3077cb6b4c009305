"""JSON Schemas of the main answers, each with an example. More keys may come; none of these goes."""

from __future__ import annotations

from typing import Any

Shape = dict[str, Any]

_TEXT: Shape = {"type": "string"}
_TIME: Shape = {"type": "string", "format": "date-time"}
_COUNT: Shape = {"type": "integer", "minimum": 0}
_NUMBER: Shape = {"type": "number"}
_FLAG: Shape = {"type": "boolean"}


def _maybe(shape: Shape) -> Shape:
    return {"anyOf": [shape, {"type": "null"}]}


def _list(shape: Shape) -> Shape:
    return {"type": "array", "items": shape}


def _map(shape: Shape) -> Shape:
    return {"type": "object", "additionalProperties": shape}


def _object(example: Any = None, **fields: Shape) -> Shape:
    names = {name.removesuffix("_"): shape for name, shape in fields.items()}
    found: Shape = {"type": "object", "properties": names, "required": list(names)}
    return found if example is None else {**found, "examples": [example]}


def _ref(name: str) -> Shape:
    return {"$ref": f"#/components/schemas/{name}"}


def _page(name: str, shape: str) -> Shape:
    return _object(**{name: _list(_ref(shape)), "next": _maybe(_TEXT)})


SCHEMAS: dict[str, Shape] = {
    "Problem": _object(
        {
            "type": "urn:slowwave:problem:unknown-person",
            "title": "Not Found",
            "status": 404,
            "detail": "nobody is called Adda; did you mean Ada?",
            "nearest": ["Ada"],
        },
        type=_TEXT,
        title=_TEXT,
        status={"type": "integer", "minimum": 400, "maximum": 599},
        detail=_TEXT,
    ),
    "Person": _object(
        {"id": "5f0c1d2e3a4b5c6d", "name": "Ada Lund", "aliases": ["Addie"], "speaks": True},
        id=_TEXT,
        name=_TEXT,
        aliases=_list(_TEXT),
        speaks=_FLAG,
    ),
    "Fact": _object(
        id=_TEXT,
        subject=_TEXT,
        predicate=_TEXT,
        object=_TEXT,
        status=_TEXT,
        valid_from=_maybe(_TEXT),
        valid_to=_maybe(_TEXT),
    ),
    "Episode": _object(
        {
            "id": "0a1b2c3d4e5f6071",
            "time": "2025-03-01T10:00:00+00:00",
            "speaker": "Ada Lund",
            "text": "I live in Porto.",
            "kind": "text",
            "edited": False,
            "origin": "observed",
            "conversation": {"id": "1b2c3d4e5f607182", "name": "Ada and Bo"},
            "source": "2c3d4e5f60718293",
            "emotions": [{"concept": "joy", "intensity": 4.5, "judge": "tagger"}],
        },
        id=_TEXT,
        time=_TIME,
        speaker=_TEXT,
        text=_TEXT,
        kind=_TEXT,
        edited=_FLAG,
        origin=_TEXT,
        conversation=_object(id=_TEXT, name=_TEXT),
        source=_TEXT,
        emotions=_list(_object(concept=_TEXT, intensity=_NUMBER, judge=_TEXT)),
    ),
    "Conversation": _object(
        id=_TEXT,
        name=_TEXT,
        people=_list(_TEXT),
        messages=_COUNT,
        first=_maybe(_TIME),
        last=_maybe(_TIME),
    ),
    "Emotions": _object(
        {
            "person": "Ada Lund",
            "made_of": "tags",
            "readout": None,
            "by": "month",
            "timezone": "Europe/Lisbon",
            "concepts": ["joy"],
            "buckets": [
                {
                    "from": "2025-03-01T00:00:00+00:00",
                    "to": "2025-04-01T00:00:00+01:00",
                    "messages": 12,
                    "emotions": {"joy": {"n": 3, "mean": 5.2, "max": 8.0}},
                }
            ],
        },
        person=_TEXT,
        made_of=_TEXT,
        readout=_maybe(_TEXT),
        by=_TEXT,
        timezone=_TEXT,
        concepts=_list(_TEXT),
        buckets=_list(
            _object(
                **{
                    "from": _TIME,
                    "to": _TIME,
                    "messages": _COUNT,
                    "emotions": _map(_object(n=_COUNT, mean=_NUMBER, max=_NUMBER)),
                }
            )
        ),
    ),
    "Run": _object(
        run=_TEXT,
        status=_TEXT,
        started=_TIME,
        finished=_maybe(_TIME),
        published=_FLAG,
        error=_maybe(_TEXT),
    ),
    "Night": {
        "allOf": [
            _ref("Run"),
            _object(
                stages=_list(_object(name=_TEXT, status=_TEXT, seconds=_NUMBER, counts=_map(_NUMBER))),
                exam={"type": "object"},
                doing=_maybe(
                    _object(
                        {
                            "stage": "train",
                            "done": 40,
                            "total": 160,
                            "seconds": 61,
                            "eta_s": 240,
                            "stage_eta_s": 180,
                        },
                        stage=_TEXT,
                        done=_COUNT,
                        total=_COUNT,
                        seconds=_NUMBER,
                        eta_s=_maybe(_NUMBER),
                        stage_eta_s=_maybe(_NUMBER),
                    )
                ),
                report=_maybe(_TEXT),
            ),
        ]
    },
    "Answer": _object(
        answer=_maybe(_TEXT),
        abstained=_FLAG,
        facts=_list({"type": "object"}),
        evidence=_list({"type": "object"}),
    ),
    "Chat": _object(
        id=_TEXT,
        person=_TEXT,
        conversation=_TEXT,
        kind=_TEXT,
        began_at=_TIME,
        ended_at=_maybe(_TIME),
        turns=_COUNT,
    ),
    "Claim": _object(id=_TEXT, person=_TEXT, subject=_TEXT, predicate=_TEXT, object=_TEXT, state=_TEXT),
    "Step": _object(
        recipe=_TEXT,
        parent=_maybe(_TEXT),
        night=_maybe(_TEXT),
        at=_TIME,
        tags=_list(_TEXT),
        serves=_FLAG,
        tainted=_FLAG,
        changes=_list({"type": "object"}),
    ),
    "Consent": _object(
        {
            "person": "Ada Lund",
            "stands": True,
            "records": [
                {
                    "id": "3d4e5f6071829304",
                    "by": "Ada Lund",
                    "note": "by letter",
                    "at": "2025-05-01T09:00:00+00:00",
                    "withdrawn": None,
                }
            ],
        },
        person=_TEXT,
        stands=_FLAG,
        records=_list(_object(id=_TEXT, by=_TEXT, note=_TEXT, at=_TIME, withdrawn=_maybe(_TIME))),
    ),
    "Sampling": _object(person=_TEXT, sampling=_map(_NUMBER), set=_list(_TEXT)),
    "Turn": _object(
        reply=_TEXT, status=_TEXT, session=_TEXT, facts=_list({"type": "object"}), simulated=_FLAG
    ),
    "Company": _object(
        conversation=_TEXT,
        session=_TEXT,
        ended=_maybe(_TEXT),
        turns=_list({"type": "object"}),
        simulated=_FLAG,
    ),
    "Source": _object(source=_TEXT, kind=_TEXT, name=_TEXT, messages=_COUNT, imported=_TIME),
    "Decision": _object(
        id=_TEXT,
        run=_maybe(_TEXT),
        decision=_TEXT,
        fact=_TEXT,
        reasons=_list(_TEXT),
        decided_at=_TIME,
        undone=_FLAG,
    ),
    "Entry": _object(seq=_COUNT, at=_TIME, kind=_TEXT, hash=_TEXT, payload={"type": "object"}),
    "Merge": _object(merge=_TEXT),
    "Digest": _object(id=_TEXT, conversation=_TEXT, messages=_COUNT),
}

_SCHEMA_OF: dict[str, Shape] = {
    "people": _page("people", "Person"),
    "rename": _ref("Person"),
    "alias": _ref("Person"),
    "unalias": _ref("Person"),
    "merges": _page("merges", "Merge"),
    "facts": _page("facts", "Fact"),
    "facts_of_person": _page("facts", "Fact"),
    "episodes": _page("episodes", "Episode"),
    "episode": _ref("Episode"),
    "conversations": _page("conversations", "Conversation"),
    "emotions": _ref("Emotions"),
    "runs": _page("runs", "Run"),
    "run": _ref("Night"),
    "sleep": _object({"run": "4e5f607182930415", "status": "running"}, run=_maybe(_TEXT), status=_TEXT),
    "roll_back": _object(run=_maybe(_TEXT)),
    "ask": _ref("Answer"),
    "chats": _page("chats", "Chat"),
    "claims": _page("claims", "Claim"),
    "chat": _ref("Turn"),
    "converse": _ref("Company"),
    "recipes": _page("recipes", "Step"),
    "consent": _ref("Consent"),
    "agree": _ref("Consent"),
    "withdraw_consent": _ref("Consent"),
    "persona": _ref("Sampling"),
    "set_persona": _ref("Sampling"),
    "sources": _page("sources", "Source"),
    "decisions": _page("decisions", "Decision"),
    "ledger": _page("entries", "Entry"),
    "digests": _page("digests", "Digest"),
}
ANSWERS: dict[str, Shape] = {name: {"schema": shape} for name, shape in _SCHEMA_OF.items()}
