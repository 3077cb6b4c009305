#!/usr/bin/env bash
# The main job from a chat export to a persona that remembers. Usage: bash examples/demo.sh [HOME_FOLDER]
# The folder is made anew each time, except its cache of converted models.
set -euo pipefail
home=${1:-demo-home}
export SLOWWAVE_HOME=$home
here=$(cd "$(dirname "$0")" && pwd)
started=$(date +%s)

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

if [ -e "$home" ] && [ ! -e "$home/.slowwave-demo" ]; then
  echo "$home exists and is no demo folder; name another one: make demo DEMO_HOME=..." >&2
  exit 1
fi
mkdir -p "$home"
touch "$home/.slowwave-demo"
find "$home" -mindepth 1 -maxdepth 1 ! -name cache ! -name .slowwave-demo -exec rm -rf {} +

say "1. Import nine months of chat between two friends"
slowwave import "$here/harbor/WhatsApp Chat with Ines Carvalho.txt"

say "2. What is known about Ines"
slowwave facts "Ines Carvalho"

# These people are invented, so their consent is, too. Without it nobody is simulated and no voice is trained.
slowwave consent "Ines Carvalho" --by "Ines Carvalho" --note "invented person of the example"

say "3. One night of sleep: decide, train, examine, publish"
slowwave sleep --minutes 12  # at most; a machine that has other things to do needs them

say "4. Five questions to the graph"
for question in \
  "Where does Ines live now?" \
  "Where did Tomas live in the summer of 2025?" \
  "Who was Tomas's boss in July 2025?" \
  "What is the name of Ines's dog?" \
  "What is Duarte's surname?"; do
  printf '\n> %s\n' "$question"
  slowwave ask "$question"
done

say "5. What the weights know: base, retrieval only, weights only, both (questions never trained on)"
slowwave exam

say "6. Four turns with Ines' persona"
printf '%s\n' "hej ines. how are you" "where do you live now" "and what is your dog called" "ok. goodnight" |
  slowwave chat "Ines Carvalho" --as "Tomas Lindqvist" --seed 7 -v

say "7. The report of the night"
report=$(ls -t "$home"/runs/*/report.html | head -n 1)
echo "$report"
echo "done in $(($(date +%s) - started)) s"
