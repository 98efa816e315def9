# Alternating states: save and update with --alternate; load, verify and info of what they make. Read by run.sh.
# shellcheck shell=bash disable=SC2154

mkdir alternating
files() { (cd alternating && stat -c '%n %i' ./*); }
for text in one two three; do
    gives 0 "save --alternate: $text" "$steadfast" save --alternate alternating/s <<<"$text"
    [ "$text" != two ] || two_files=$(files)
done
[ "$(files)" = "$two_files" ]
result $? "the third save overwrites one of the two files"
gives 0 "load" "$steadfast" load alternating/s
says output '^three$' "it is the last one"
gives 0 "verify" "$steadfast" verify -v alternating/s
says output 'OK, generation 3, 6 bytes$' "its generation"
gives 0 "info" "$steadfast" info alternating/s
says output '^source      previous' "it is in PATH.prev"
says output '^alternates  PATH.prev is the newer file$' "and info says so"
says output '^  PATH        generation 2$' "the generation at PATH"
says output '^  PATH.prev   generation 3$' "the one at PATH.prev"
ln -s s alternating/link
gives 0 "info --json, through a link" "$steadfast" info --json alternating/link
says output '"newer": "previous", "current_generation": 2, "previous_generation": 3' "says the same"
rm alternating/link
gives 0 "update --alternate" "$steadfast" update --alternate alternating/s -- sed s/three/four/
gives 0 "load" "$steadfast" load alternating/s
says output '^four$' "it is what the filter made"
gives 0 "save --alternate -- COMMAND" "$steadfast" save --alternate alternating/s -- echo five
[ "$(files)" = "$two_files" ]
result $? "and still the same two files"
by_hand() { tail -n +2 "$1" | sha256sum -c <(head -n 1 "$1"); }
for file in alternating/s alternating/s.prev; do gives 0 "coreutils verify $file" by_hand "$file"; done
used() { head -c 256 "$1" | sed -n 's/.* !used=0*\([0-9]*\) .*/\1/p'; }
[ "$(tail -c +257 alternating/s.prev | head -c "$(used alternating/s.prev)")" = five ]
result $? "and read the payload"
gives 1 "save --alternate: the command fails" "$steadfast" save --alternate alternating/s -- sh -c 'echo no; exit 3'
says errors 'nothing was saved' "nothing was saved"
gives 1 "save --alternate --plain" "$steadfast" save --alternate --plain alternating/s <<<x
says errors 'ALTERNATE' "the flag is named"
truncate -s 100 alternating/s.prev
gives 3 "load: the newest is damaged" "$steadfast" load alternating/s
says output '^four$' "the one before it"
says errors STEADFAST_RECOVERED "told as such"
gives 0 "a plain save ends it" "$steadfast" save alternating/s <<<plain
gives 0 "info" "$steadfast" info alternating/s
! grep -q alternates output
result $? "which info no longer tells of"
