"""Small things people do in words again and again, each with the share of messages from which it is a habit. English.

Data for `habits.py`: a manner counts only where somebody shows it clearly more than the others of the same chats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agents.measures import LAUGHTER


@dataclass(frozen=True, slots=True)
class Manner:
    shows: re.Pattern[str]
    least: float  # share of the messages
    kind: str
    text: str
    weight: float


def _manner(regex: str, least: float, kind: str, text: str, weight: float) -> Manner:
    return Manner(re.compile(regex, re.IGNORECASE), least, kind, text, weight)


MANNERS = (
    Manner(LAUGHTER, 0.06, "speech", "Laughs in writing", 1.1),
    _manner(
        r"\b(?:are you (?:ok|okay|alright|awake|home)|how are you|how('s| is| was| did| do) (?:the|your|it|you)|did you (?:eat|sleep)|"
        r"take care|let me know|text me|call me)\b",
        0.03, "habit", "Asks how the other is", 1.5,
    ),
    _manner(
        r"\b(?:go (?:to (?:bed|sleep)|see (?:a|the|your) doctor)|eat (?:something|your|properly)|have you eaten|get some (?:sleep|rest)|"
        r"drive (?:safe\w*|slow\w*|careful\w*)|text (?:me )?when (?:you|u)|see (?:a|the|your) (?:doctor|gp|dentist)|take (?:your|the) (?:meds|"
        r"pills?|medicine|tablets?)|drink (?:some )?water|wear (?:a|your)|look after your ?self|mind yourself|put (?:ice|your feet|a coat)|"
        r"(?:book|make|ring for) (?:an|the|that) appointment|don'?t skip)\b",
        0.012, "habit", "Shows care by telling people to eat, rest, drive slowly and see a doctor", 1.7,
    ),
    _manner(
        r"\b(?:i'?m here|here for you|i'?m (?:coming|calling|outside)|i(?:'ll| will| can) (?:come|be there|drive|call|bring|fix|help|cook|carry|lend|"
        r"take you|pick (?:you|him|her|it|them) up|cover|swap|sit with|stay)|on my way|call\?|i'?ve got you|you'?re not alone|"
        r"don'?t be sorry|take your time|i brought (?:you|him|her|soup|food))\b",
        0.015, "value", "Shows up for friends and family in person: comes, drives, brings, fixes", 1.9,
    ),
    _manner(
        r"\b(?:congrat\w*|well done|proud of (?:you|him|her|them)|so proud|you did it|bravo|that'?s (?:amazing|wonderful|huge)|"
        r"happy birthday|hooray|yay+)\b|[🎉🎊👏🥳]",
        0.03, "value", "Celebrates the good news and victories of others loudly", 1.6,
    ),
    _manner(
        r"\b(?:won'?t (?:tell|say)|will not (?:tell|say)|not a word|lips are sealed|secret is safe|between us|just between|"
        r"i am a grave|my lips)\b",
        0.006, "value", "Keeps what is told in confidence", 1.8,
    ),
    _manner(
        r"\b(?:(?:don'?t|do not|dont|nobody|not to) tell (?:mam|mum|mom|dad|her|him|them|anyone|anybody|the others?|granny|your)|keep (?:it|this) "
        r"(?:quiet|to yourself|between)|say nothing|not a word to|(?:mam|mum|mom|dad) (?:doesn'?t|does not|can'?t|mustn'?t) know)\b",
        0.008, "habit", "Asks others to keep things secret from family", 1.6,
    ),
    _manner(
        r"\b(?:i(?:'m| am| was)? (?:cry|cried|crying|sobb\w+)|in tears|made me cry|i'?d cry|teared up|had to cry|to cry)\b|😭",
        0.03, "habit", "Is moved to tears easily and does not hide it", 1.5,
    ),
    _manner(
        r"\b(?:thank(?:s| you)|thx|obrigad[oa]|gracias|merci|danke|grazie|tack|takk)\b",
        0.04, "habit", "Says thank you readily", 1.2,
    ),
    _manner(
        r"\b(?:sorry|apologi[sz]e|my bad|forgive me|my fault)\b", 0.04, "habit", "Says sorry readily", 1.1,
    ),
    _manner(
        r"\b(?:no,? wait|wait,? no|actually,? no|sorry,? i mean|i mean|scratch that|correction|mixed up|i meant)\b|^no\. |^\*\w+",
        0.012, "habit", "Gets details wrong and puts them right at once", 1.4,
    ),
    _manner(
        r"^\W*(?:no,? (?:it|that|he|she|they|you)(?:'s| is| was| were|'re)|actually,? (?:it|that|he|she|they)|you mean|it (?:was|is) (?:not|on|the) )",
        0.025, "habit", "Corrects the dates and facts of others", 1.3,
    ),
    _manner(
        r"(?:™|\b(?:on a scale of|breaking news|for the record|plot twist|effective immediately|in my defen[cs]e|legally|officially)\b)",
        0.012, "speech", "Plays with official words and scales for fun", 1.4,
    ),
    _manner(
        r"\b(?:i(?:'ve| have)? booked|i(?:'ll| will) (?:book|organi[sz]e|arrange|collect|sort)|don'?t forget|reminder|remember to|"
        r"who(?:'s| is) (?:bringing|driving|getting|collecting|minding)|everyone (?:needs|bring)|can (?:somebody|someone|one of you)|"
        r"the plan (?:is|for)|be (?:there|ready) (?:at|by|for)|i(?:'ve| have) (?:made|got) a list)\b",
        0.025, "habit", "Organises the others: bookings, lifts, presents, who brings what", 1.6,
    ),
    _manner(
        r"\b(?:i'?m (?:fine|grand|ok|alright|all right)|all good|no need|don'?t (?:fuss|worry about me|bother)|it'?s nothing|i'?ll (?:live|manage|survive)|"
        r"not a big deal|no big deal)\b",
        0.03, "habit", "Says that all is fine and plays down trouble of their own", 1.4,
    ),
    _manner(
        r"\b(?:thank god|god willing|god bless|bless (?:you|him|her|them)|pray(?:ed|ing|s|ers?)?|amen|inshallah|alhamdulillah|mashallah|lord|praise)\b|🙏",
        0.02, "value", "Faith: speaks of God and prays for people", 1.6,
    ),
    _manner(
        r"\b(?:i'?m (?:such )?an? (?:idiot|mess|disaster|clown|fool|genius)|classic me|my (?:stupid|tiny) brain|i'?m (?:useless|hopeless)|"
        r"of course i (?:fell|broke|forgot|lost|burn\w+)|judge me|don'?t laugh)\b",
        0.01, "habit", "Laughs at their own mistakes", 1.4,
    ),
    _manner(
        r"\b(?:i(?:'m| am) not (?:telling|saying|jinxing)|won'?t jinx|don'?t want to jinx|until (?:it'?s|it is) (?:signed|sure|certain|done|decided)|"
        r"didn'?t want to say|wasn'?t going to (?:say|tell)|meant to (?:tell|say)|by the way i|forgot to (?:mention|say|tell))\b",
        0.008, "habit", "Tells big news late, after things are decided", 1.5,
    ),
)  # fmt: skip

SHORTHAND = re.compile(
    r"\b(?:ur|u|r|n|w|wk|wks|wkend|abt|bc|b4|cuz|coz|thx|tks|pls|plz|ppl|rn|tmrw|tmr|2moro|2nite|gonna|gd|nite|idk|imo|tbh|btw|omw|ngl|wya|wyd|smth|sth|msg|bday|prob|def)\b(?![.’'])",
    re.IGNORECASE,
)


def _topic(words: str, least: float, text: str, weight: float) -> Manner:
    return Manner(re.compile(rf"\b(?:{words})\b", re.IGNORECASE), least, "value", text, weight)


TOPICS = (
    _topic(
        r"mum|mam|mom|mother|dad|father|sister|brother|wife|husband|kids?|son|daughter|niece|nephew|gran(?:ny|dma|dad|dpa)?|grandmother|"
        r"grandfather|aunt(?:ie)?|uncle|cousins?|twin|baby|family|parents|in-laws",
        0.12, "Family comes first; often speaks of", 1.7,
    ),
    _topic(
        r"dogs?|cats?|puppy|kitten|hens?|horses?|goats?|sheep|cows?|bees|rabbits?|parrot|birds?|vet|animals?|foal|donkey",
        0.05, "Close to animals", 1.4,
    ),
    _topic(r"music|songs?|singing|guitar|piano|choir|band|gig|concert|fiddle|violin|drums?", 0.05, "Music matters to them", 1.3),
    _topic(r"cook(?:ed|ing)?|bak(?:e|ed|ing)|recipe|soup|stew|dinner|bread|cake|kitchen|garlic|rice", 0.08, "Cares for people with food", 1.3),
    _topic(r"garden|plants?|seeds|tomatoes|compost|harvest|allotment|greenhouse", 0.05, "At home in the garden", 1.3),
    _topic(r"pay|paid|rent|money|cash|cheap|cheaper|invoice|bills?|overtime|save|savings|tax|price", 0.07, "Practical about money", 1.2),
    _topic(r"train(?:ed|ing)?|runs?|running|swim(?:ming)?|gym|match|race|marathon|bike|cycling|climb(?:ing)?|football|rugby", 0.07, "Sport is part of life", 1.2),
    _topic(r"patients?|ward|clinic|shift|students?|pupils?|class|lesson|exam|apprentice|workshop", 0.08, "Serious about their work", 1.2),
)  # fmt: skip
