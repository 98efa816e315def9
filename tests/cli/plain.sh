# Plain files: save, update, watch and remove with --plain; load, verify and info tell both kinds apart. Read by run.sh.
# shellcheck shell=bash disable=SC2016,SC2154

mkdir plain
# An attribute can be tried only where there are some. CI must have a place for it.
"$steadfast" save --plain plain/probe <<<x >output 2>errors
if [ $? = 3 ] && grep -q STEADFAST_UNVERIFIED errors; then
    lacking "no extended attributes in $work: set TMPDIR to a place that has them"
    attributes=
else
    attributes=yes
fi
# The file is somebody's: another content, at another time.
edit() { # PATH TEXT
    printf '%s\n' "$2" >"$1"
    touch -d '2001-02-03 04:05:06' "$1"
}
generation() { "$steadfast" info --json "$1" 2>errors | sed 's/.*"generation": \([0-9]*\), "saved".*/\1/'; }

echo "by hand" >plain/foreign
gives 3 "load: anybody's file" "$steadfast" load plain/foreign
says output '^by hand$' "its content"
says errors '^steadfast: there is nothing to verify .*\[STEADFAST_UNVERIFIED\]$' "and that nothing verifies it"
gives 3 "load --plain: the same" "$steadfast" load --plain plain/foreign
gives 4 "load --verified: anybody's file" "$steadfast" load --verified plain/foreign
says errors STEADFAST_E_UNVERIFIED "told as such"
[ ! -s output ]
result $? "nothing was written"
gives 4 "verify: anybody's file" "$steadfast" verify plain/foreign
says errors STEADFAST_UNVERIFIED "told as such"
gives 3 "info: anybody's file" "$steadfast" info plain/foreign
says output '^kind +plain$' "its kind"
says output '^attribute +none$' "it has no attribute"
says output '^generation +[0-9]{19,}$' "its generation is a content tag"
tag=$(generation plain/foreign)
gives 6 "save --plain --if-generation: another content" "$steadfast" save --plain --if-generation 9223372036854775809 plain/foreign <<<ours
if [ -n "$attributes" ]; then expected=0; else expected=3; fi
gives $expected "save --plain --if-generation: the content's tag" "$steadfast" save --plain --if-generation "$tag" plain/foreign <<<ours
grep -qx ours plain/foreign && [ "$(wc -c <plain/foreign)" = 5 ]
result $? "the file holds these bytes and no other"
gives 5 "load --plain: nothing there" "$steadfast" load --plain plain/none
gives 2 "watch: an option of load" "$steadfast" watch --recover plain/foreign

# A damaged record is not taken for somebody's file.
"$steadfast" save plain/record <<<one >output
gives 0 "info: a record" "$steadfast" info plain/record
says output '^generation +1$' "as ever"
refuses grep -q -e kind -e attribute output
result $? "without a word about plain files"
gives 3 "load --plain: a record's own bytes" "$steadfast" load --plain plain/record
cmp -s output plain/record
result $? "all of them"
for bytes in 80 160; do
    "$steadfast" save plain/record <<<one >output
    head -c $bytes /dev/zero | tr '\0' x | dd of=plain/record conv=notrunc status=none
    gives 4 "load: a record whose first $bytes bytes are damaged" "$steadfast" load plain/record
    [ ! -s output ]
    result $? "is not handed out"
done
gives 4 "watch --once: a record is asked for, and a plain file is there" "$steadfast" watch --once plain/foreign

if [ -n "$attributes" ]; then
    gives 0 "save --plain" "$steadfast" save -v --plain --schema 7 plain/p <<<one
    says output ': generation 1, 4 bytes$' "told as a save is"
    [ "$(cat plain/p)" = one ] && [ "$(wc -c <plain/p)" = 4 ]
    result $? "the file holds these bytes and no other"
    for option in "" --plain --verified; do
        # shellcheck disable=SC2086
        gives 0 "load $option" "$steadfast" load $option plain/p
        says output '^one$' "its content"
        [ ! -s errors ]
        result $? "with nothing on standard error"
    done
    gives 0 "verify" "$steadfast" verify -v plain/p
    says output ': OK, generation 1, 4 bytes$' "told as a record is"
    gives 0 "load --schema" "$steadfast" load --schema 7 plain/p
    gives 1 "load: another schema" "$steadfast" load --schema 8 plain/p
    gives 0 "info" "$steadfast" info plain/p
    for line in 'kind +plain' 'generation +1' 'schema +7' 'length +4' "sha256 +$(sha256sum plain/p | head -c 64)" 'source +current' 'attribute +matches'; do
        says output "^$line\$" "info: $line"
    done
    json 0 "info --json: plain" '"source": "current", "kind": "plain", "attribute": "matches"}$' "$steadfast" info --json plain/p
    gives 0 "save --plain --keep-previous -- COMMAND" "$steadfast" save --plain --keep-previous plain/p -- echo two
    gives 1 "save --plain -- COMMAND that fails" "$steadfast" save --plain plain/p -- sh -c 'echo half; exit 3'
    [ "$(cat plain/p)" = two ] && [ "$(cat plain/p.prev)" = one ]
    result $? "the file is as it was, and the one before beside it"
    gives 0 "update --plain" "$steadfast" update -v --plain --keep-previous plain/p -- sed s/two/three/
    says output 'generation 3, 6 bytes' "told as a save is"
    gives 4 "update without --plain" "$steadfast" update plain/p -- cat
    says errors STEADFAST_E_FORMAT "it is no record"

    edit plain/p theirs
    gives 3 "load: changed" "$steadfast" load plain/p
    says output '^theirs$' "what somebody wrote"
    says errors 'somebody has changed .*\[STEADFAST_CHANGED\]$' "and that somebody has"
    gives 4 "load --verified: changed" "$steadfast" load --verified plain/p
    gives 4 "verify: changed" "$steadfast" verify plain/p
    says errors STEADFAST_CHANGED "told as such"
    gives 3 "info: changed" "$steadfast" info plain/p
    says output '^attribute +differs$' "the attribute is another content's"
    says output '^  generation +3$' "and what it says"
    json 3 "info --json: changed" '"attribute": "differs", "attribute_generation": 3, .*"attribute_length": 6, "attribute_sha256": "[0-9a-f]{64}"}$' "$steadfast" info --json plain/p
    json 4 "verify --json: changed" '"status_name": "STEADFAST_CHANGED"' "$steadfast" verify --json plain/p
    gives 4 "update --plain --verified: changed" "$steadfast" update --plain --verified plain/p -- cat
    gives 0 "update --plain: changed" "$steadfast" update --plain --keep-previous plain/p -- sed s/theirs/ours/
    [ "$(cat plain/p)" = ours ] && [ "$(cat plain/p.prev)" = theirs ]
    result $? "somebody's change is not lost, and is kept"

    touch -r plain/p plain/when
    echo ruin >plain/p
    touch -r plain/when plain/p
    gives 4 "load: damaged" "$steadfast" load plain/p
    says errors STEADFAST_E_DIGEST "told as such"
    [ ! -s output ]
    result $? "nothing was written"
    gives 4 "load --plain: damaged" "$steadfast" load --plain plain/p
    gives 3 "load --recover: from the previous generation" "$steadfast" load --recover plain/p
    says output '^theirs$' "it is the one before"
    gives 3 "info --recover" "$steadfast" info --recover plain/p
    says output '^attribute +matches$' "the previous one is verified"
    rm plain/p
    gives 5 "load: lost" "$steadfast" load plain/p
    gives 3 "load --recover: nothing there" "$steadfast" load --recover plain/p

    # Either kind within the other.
    "$steadfast" save plain/record <<<inner >output
    gives 0 "save --plain: the bytes of a record" "$steadfast" save --plain plain/outer <plain/record
    gives 0 "load: they" "$steadfast" load plain/outer
    cmp -s output plain/record
    result $? "and not what is in them"
    "$steadfast" save --plain plain/outer <<<x >output
    cat plain/record >plain/outer
    gives 0 "load: a record that was copied over a plain file" "$steadfast" load plain/outer
    says output '^inner$' "is a record"

    "$steadfast" save --plain plain/w <<<0 >output
    gives 0 "watch --plain" "$steadfast" watch --plain --once --since 0 plain/w
    says output 'generation 1$' "the generation"
    edit plain/w theirs
    gives 0 "watch --plain: changed" "$steadfast" watch --plain --once --since 1 plain/w
    says output "generation $(generation plain/w)\$" "the content's tag"
    gives 4 "watch --plain --verified: changed" "$steadfast" watch --plain --verified --once --since 1 plain/w
    gives 6 "remove --plain --if-generation: another is there" "$steadfast" remove --plain --if-generation 1 plain/w
    gives 0 "remove --plain --if-generation: the tag" "$steadfast" remove --plain --if-generation "$(generation plain/w)" plain/w
    [ ! -e plain/w ]
    result $? "it is gone"

    # As steadfast_state(5) says.
    if command -v getfattr >/dev/null; then
        "$steadfast" save --plain plain/p <<<one >output
        [ "$(getfattr --only-values -n user.steadfast plain/p | head -c 32 | od -An -v -tx1 | tr -d ' \n')" = "$(sha256sum <plain/p | head -c 64)" ]
        result $? "getfattr and sha256sum say the same"
    else
        lacking "no getfattr, so the check by hand was not made"
    fi
fi
