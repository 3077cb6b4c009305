"""Errors of the graph.

GraphError
├── UnknownFormat     the file is of no format we read
├── BrokenExport      the format is known, the content is damaged
├── BadPattern        a pattern that is no regular expression
├── ZipInZip          an archive that holds another
├── ExportTooCostly   reading an upload takes more than it may use; carries what of
├── NewerFormat       an export that a newer slowwave wrote
├── WrongEntrance     slowwave's own export given to `import`, or another program's file to `load`
├── SpaceInUse        an export is to be loaded into a space that holds something
├── UnknownSpace      the store has no space of that name (also a LookupError)
├── SpaceExists       a new space is to have the name of another
├── BadSpaceName      a name that no space can have
├── EmptyChat         nothing to import
├── UnknownTimezone   no time zone of that name
├── UnknownPerson     no such person; carries the nearest names (also a LookupError)
│   └── NearlyKnown   nobody of that name, but somebody of one like it; a fact would make a new person
├── NoName            a name of which nothing can be seen
├── NameTaken         a name that is somebody's already
├── NotTheirName      an alias that the person does not have
├── UnknownMerge      no such merge id (also a LookupError)
├── CannotMerge       the two are one already, or are shown to be two
├── CannotUnmerge     the merge was undone before, or a later one rests on it
├── UnknownFact       no such fact id (also a LookupError)
├── UnknownDigest     no such digest id (also a LookupError)
├── UnknownSession    no such session with a persona (also a LookupError)
├── UnknownClaim      no persona made a claim of that id (also a LookupError)
├── UnknownLine       a constitution has no line of that id (also a LookupError)
├── UnknownVersion    a constitution has no such version (also a LookupError)
├── UnknownDecision   no such decision id (also a LookupError)
├── UnknownArtifact   no such artifact id (also a LookupError)
├── UnknownPredicate  the registry has no such predicate, and unknown ones are refused (also a LookupError)
├── BadPredicates     a file of predicates is damaged; names the entry
├── BadStatement      a fact stated by hand is empty, too long or no text
├── BadInterval       a fact would end before it starts
├── UnreadableTime    a time without a zone, or beyond the years that a store can hold
├── UnknownCursor     a list of messages is to go on where no page of it ended
├── UnknownEpisode    no such message id (also a LookupError)
├── UnknownEntity     agents keep nothing under that name (also a LookupError)
├── UnknownSource     no such source id (also a LookupError)
├── UnknownCertificate no erasure has that ledger entry (also a LookupError)
├── PlanChanged       what an erasure would do is not what was shown
├── TaintedArtifact   the artifact holds what was erased and is not served
├── CannotDecide      the fact is in a state that this decision does not fit
├── CannotUndo        the decision was undone before, or a later one rests on it
├── WrongEmbedder     the stored vectors come from another model
├── BackupExists      the file that a backup should become is there already
├── BadBackup         not a backup, or damaged
├── BackupNotProved   a backup that was just written is not what was to be written
├── ErasedMeanwhile   something was erased again and again while a backup was made
├── BeingRestored     a backup is being restored into this home
├── BackupTooNew      a backup that a newer slowwave made
├── HomeNotEmpty      a restore would replace what a home holds
├── HomeInUse         another process has the store open that a restore would replace
├── KeyMissing        an encrypted home's key is nowhere
├── BadKeyFile        a key that is none, or that others can read; carries why
├── WrongKey          the key opens another home
├── BrokenSeal        a sealed file is not as it was written
├── SealedBackup      a backup is sealed and its key is not at hand
├── NoMemoryFolder    no memory file system, or too little room on it, for an open encrypted home
├── WrongKindOfHome   a plain home was given where an encrypted one is needed, or the other way round; carries what to do
├── UnusableId        an id that is not 16 hex digits
└── ModelMissing      a model's files are not installed; carries the command that fetches them
"""

from __future__ import annotations

from collections.abc import Sequence


class GraphError(Exception):
    """Base of everything `memory` raises on purpose. The message is one line and says what to do."""


class UnknownFormat(GraphError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is no export that slowwave reads; give one of WhatsApp, Telegram, Discord, Messenger, Instagram, Slack, "
            "Signal, iMessage, ChatGPT, Claude or an mbox, a .csv or .jsonl with time, speaker and text, "
            "or the memories of mem0 or MCP memory"
        )


class BadPattern(GraphError):
    def __init__(self, pattern: str, why: str) -> None:
        super().__init__(
            f"{pattern!r} is no pattern: {why}; write a regular expression such as '^\\\\[auto\\\\]'"
        )


class ZipInZip(GraphError):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name} holds another zip archive; unpack it and import what is inside, one by one")


class BrokenExport(GraphError):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} is damaged: {why}; export it again")


class ExportTooCostly(GraphError):
    def __init__(self, why: str) -> None:
        super().__init__(
            f"reading the upload takes more than it may: {why}; send it in parts, or use `slowwave import` on the machine"
        )


class NewerFormat(GraphError):
    def __init__(self, name: str, version: int, known: int) -> None:
        super().__init__(
            f"{name} is of format version {version} and this slowwave reads up to {known}; update slowwave"
        )


class WrongEntrance(GraphError):
    def __init__(self, name: str, *, is_own: bool) -> None:
        super().__init__(
            f"{name} is a whole space as slowwave exports it; bring it in with `slowwave load`"
            if is_own
            else f"{name} is no export of slowwave's own; what other programs wrote comes in with `slowwave import`"
        )


class SpaceInUse(GraphError):
    def __init__(self, name: str) -> None:
        super().__init__(f"the space {name} holds something already; load into a new one with --space NAME")


class UnknownSpace(GraphError, LookupError):
    def __init__(self, name: str) -> None:
        super().__init__(f"the store has no space called {name!r}; GET /v1/spaces lists them, POST makes one")
        self.name = name


class SpaceExists(GraphError):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is a space called {name!r} already; work in it, or give another name")


class BadSpaceName(GraphError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name[:70]!r} cannot name a space; give up to 64 letters, digits, spaces, dots, hyphens or underscores, "
            "a letter or digit first and last"
        )


class EmptyChat(GraphError):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name} holds no messages; nothing was imported")


class UnknownTimezone(GraphError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is no time zone known here; give an IANA name such as Europe/Lisbon, or UTC"
        )
        self.name = name


class UnknownPerson(GraphError, LookupError):
    def __init__(self, name: str, nearest: Sequence[str]) -> None:
        hint = (
            f"; did you mean {' or '.join(nearest)}?" if nearest else "; `slowwave people` lists who is known"
        )
        super().__init__(f"nobody called {name} is known{hint}")
        self.name = name
        self.nearest = tuple(nearest)


class NearlyKnown(UnknownPerson):
    def __init__(self, name: str, nearest: Sequence[str]) -> None:
        super().__init__(name, nearest)
        hint = f"did you mean {' or '.join(nearest)}? A new person is made with --new"
        self.args = (f"nobody called {name} is known; {hint}",)


class NoName(GraphError, ValueError):
    def __init__(self) -> None:
        super().__init__("nothing of that name can be seen; give one with a letter, a digit or a sign in it")


class NameTaken(GraphError):
    def __init__(self, name: str, owner: str, *, is_own: bool) -> None:
        super().__init__(
            f"{owner} goes by {name} already"
            if is_own
            else f"{name} is the name of {owner}; if they are one, `slowwave person merge` makes them one"
        )


class NotTheirName(GraphError):
    def __init__(self, person: str, name: str, *, is_main: bool) -> None:
        super().__init__(
            f"{name} is the name that {person} is shown by; `slowwave person rename` gives another"
            if is_main
            else f"{person} has no alias {name}; `slowwave person show` lists their names, `slowwave person merges` "
            "who was merged into them"
        )


class UnknownMerge(GraphError, LookupError):
    def __init__(self, merge_id: str) -> None:
        super().__init__(f"no merge has the id {merge_id}; `slowwave person merges` lists them")


class CannotMerge(GraphError):
    def __init__(self, kept: str, other: str, why: str) -> None:
        super().__init__(f"{other} cannot be merged into {kept}: {why}")


class CannotUnmerge(GraphError):
    def __init__(self, merge_id: str, why: str) -> None:
        super().__init__(f"merge {merge_id} cannot be undone: {why}")


class UnknownFact(GraphError, LookupError):
    def __init__(self, fact_id: str) -> None:
        super().__init__(f"no fact has the id {fact_id}; `slowwave facts PERSON --json` lists ids")


class UnknownSession(GraphError, LookupError):
    def __init__(self, session_id: str) -> None:
        super().__init__(f"no one session begins with {session_id!r}; list them with `slowwave chats list`")


class UnknownClaim(GraphError, LookupError):
    def __init__(self, claim_id: str) -> None:
        super().__init__(f"no claim has the id {claim_id!r}; list them with `slowwave chats claims`")


class UnknownDigest(GraphError, LookupError):
    def __init__(self, digest_id: str) -> None:
        super().__init__(f"no digest has the id {digest_id}; `slowwave digest list` lists them")


class UnknownDecision(GraphError, LookupError):
    def __init__(self, decision_id: str) -> None:
        super().__init__(f"no decision has the id {decision_id}; `slowwave decisions` lists them")


class UnknownArtifact(GraphError, LookupError):
    def __init__(self, artifact_id: str) -> None:
        super().__init__(f"no artifact has the id {artifact_id}; `slowwave recipe log` lists what was made")


class UnknownLine(GraphError, LookupError):
    def __init__(self, line_id: str) -> None:
        super().__init__(
            f"the constitution has not one line whose id begins with {line_id!r}; `slowwave constitution show PERSON` "
            "gives the ids"
        )


class UnknownVersion(GraphError, LookupError):
    def __init__(self, number: int | None, known: Sequence[int]) -> None:
        if not known:
            why = "there is no constitution yet; `slowwave sleep` writes one"
        elif number is None:
            why = f"no version of the constitution held then; the versions are {known[0]} to {known[-1]}"
        else:
            why = f"the constitution has no version {number}; its versions are {known[0]} to {known[-1]}"
        super().__init__(why)


class UnknownPredicate(GraphError, LookupError):
    def __init__(self, name: str, nearest: Sequence[str]) -> None:
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else "`slowwave predicates` lists them"
        super().__init__(f"no predicate is called {name}; {hint}")
        self.name = name
        self.nearest = tuple(nearest)


class BadPredicates(GraphError):
    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"the predicates in {path} cannot be used: {why}")


class BadStatement(GraphError):
    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"the {what} {why}")


class BadInterval(GraphError):
    def __init__(self, start: str, end: str) -> None:
        super().__init__(f"a fact from {start} cannot end on {end}; give an end that is later than the start")


class UnreadableTime(GraphError):
    def __init__(self, said: str, why: str) -> None:
        super().__init__(
            f"{said} cannot be used as a time: {why}; write it as 2025-04-01 or 2025-04-01T09:30Z"
        )


class UnknownCursor(GraphError):
    def __init__(self, cursor: str) -> None:
        super().__init__(f"{cursor[:64]} is the `next` of no page; begin again without `after`")


class UnknownEpisode(GraphError, LookupError):
    def __init__(self, episode_id: str) -> None:
        super().__init__(f"no message has the id {episode_id}; `slowwave ask QUESTION --json` gives ids")


class UnknownEntity(GraphError, LookupError):
    """In the words of the MCP memory server, whose users know them."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Entity with name {name} not found")


class UnknownSource(GraphError, LookupError):
    def __init__(self, source_id: str) -> None:
        super().__init__(f"no source has the id {source_id}; `slowwave forget sources` lists them")


class UnknownCertificate(GraphError, LookupError):
    def __init__(self, seq: int) -> None:
        super().__init__(f"ledger entry {seq} is no erasure; `slowwave ledger show` lists entries")


class PlanChanged(GraphError):
    def __init__(self) -> None:
        super().__init__(
            "the store has changed since that plan was shown; nothing was erased, look at it again"
        )


class TaintedArtifact(GraphError):
    def __init__(self, artifact_id: str) -> None:
        super().__init__(
            f"artifact {artifact_id} holds what was erased and is not served; "
            "`slowwave roll-back` goes to a night that is free of it, `slowwave sleep` makes a new one"
        )


class CannotDecide(GraphError):
    def __init__(self, fact_id: str, kind: str, state: str) -> None:
        super().__init__(f"fact {fact_id} is {state} and cannot get {kind}; undo its decision first")


class CannotUndo(GraphError):
    def __init__(self, decision_id: str, why: str) -> None:
        super().__init__(f"decision {decision_id} cannot be undone: {why}")


class WrongEmbedder(GraphError):
    def __init__(self, stored: str, given: str) -> None:
        super().__init__(f"the stored vectors come from {stored}, not {given}; run `slowwave index rebuild`")


class KeyMissing(GraphError):
    def __init__(self, variable: str) -> None:
        where = f"set {variable}" if variable else "set encryption.key_env"
        super().__init__(f"this home is encrypted and its key is not there; {where}, or encryption.key_file")


class BadKeyFile(GraphError):
    """`where` is a path or a variable's name, never what it holds."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where} is no key that can be used: {why}")


class WrongKey(GraphError):
    def __init__(self, home: str) -> None:
        super().__init__(
            f"{home} was encrypted with another key; give the one it was made with: nothing was opened or changed"
        )


class BrokenSeal(GraphError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"the sealed file {name} is damaged or was changed; restore the home from a backup, "
            "or put that file back from a copy of the home"
        )


class SealedBackup(GraphError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is sealed; name its key by encryption.key_env or key_file and restore it into an encrypted home "
            "(docs/encryption.md)"
        )


class NoMemoryFolder(GraphError):
    def __init__(self, why: str) -> None:
        super().__init__(
            f"an encrypted home is opened in memory, and {why}; set encryption.memory_folder to a folder on a tmpfs with room"
        )


class WrongKindOfHome(GraphError):
    """`say` is what is the case and what to do."""

    def __init__(self, say: str) -> None:
        super().__init__(say)


class UnusableId(GraphError):
    def __init__(self, owner_id: str) -> None:
        super().__init__(f"the id {owner_id!r} is not 16 hex digits; give it another id before it is indexed")


class ModelMissing(GraphError):
    def __init__(self, what: str, command: str) -> None:
        super().__init__(f"{what} is not installed; run `{command}`")
        self.command = command


class BackupExists(GraphError):
    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists; give the backup another name, or remove that file")


class BadBackup(GraphError):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} cannot be restored: {why}; nothing was changed, try another backup")


class BackupNotProved(GraphError):
    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} could not be read back as it was written; look at that disk, and back up to another"
        )


class ErasedMeanwhile(GraphError):
    def __init__(self) -> None:
        super().__init__(
            "something was erased while the backup was made; nothing was kept, run the command again"
        )


class BeingRestored(GraphError):
    def __init__(self, home: str) -> None:
        super().__init__(
            f"a backup is being restored into {home}; wait for it to end, then run the command again"
        )


class BackupTooNew(GraphError):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was made by a newer slowwave; upgrade slowwave, then restore it")


class HomeNotEmpty(GraphError):
    def __init__(self, home: str) -> None:
        super().__init__(
            f"{home} holds something already; restore --into another folder, or replace it with --force"
        )


class HomeInUse(GraphError):
    def __init__(self, path: str) -> None:
        super().__init__(f"another process has {path} open; stop it (`slowwave serve`?), then restore")
