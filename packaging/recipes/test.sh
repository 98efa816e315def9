#!/usr/bin/env bash
# The recipes as far as they can be tried here: what those of Arch and Alpine do, run by a shell, and Conan's by Conan.
#   test.sh
# Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 2
. packaging/check.sh
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR PREFIX
cat >"$work/program.c" <<'C'
#include <steadfast.h>
int main(void)
{
    return steadfast_state_save(0, "state", "hello", 5, 0, 0);
}
C
used() { # INCLUDE LIBRARY-FILE OPTIONS...
    (cd "$work" && cc -Wall -Werror "-I$1" program.c "$2" "${@:3}" -Wl,-rpath,"$(dirname "$2")" -o program && ./program && tail -c +257 state | grep -qx hello)
}

# One source for both: what the first has built, the second finds.
sources=$work/steadfast-$version
mkdir "$sources"
git ls-files -z | xargs -0 cp --parents -t "$sources" 2>"$work/output" || { note 1 "the sources"; end; }
recipe() ( # FILE: its steps
    cd "$sources" || exit
    set -eu
    # shellcheck disable=SC2030,SC2034
    srcdir=$work pkgdir=$work/$(basename "$1")
    # shellcheck source=/dev/null
    . "$1"
    # shellcheck disable=SC2154
    [ "$pkgver" = "$version" ]
    for step in build check package; do
        # Arch's begin beside the sources, Alpine's in them.
        case $1 in *PKGBUILD) cd "$work" ;; *) cd "$sources" ;; esac
        "$step"
    done
)
for recipe in arch/PKGBUILD alpine/APKBUILD; do
    check "$recipe: its steps" recipe "$PWD/packaging/recipes/$recipe" || continue
    placed=$work/$(basename "$recipe")/usr
    check "$recipe: a program with the shared library" used "$placed/include" "$placed/lib/libsteadfast.so"
    check "$recipe: the command" equal "$("$placed/bin/steadfast" --version)" "steadfast $version"
done

conan=$PWD/build/venv/bin/conan
if [ ! -x "$conan" ]; then
    lacking "no Conan in build/venv: build/venv/bin/pip install conan==2.34.0"
    end
fi
export CONAN_HOME=$work/conan
check "conan: it finds a compiler" "$conan" profile detect || end
for shared in False True; do
    check "conan, shared=$shared: the package" "$conan" create packaging/recipes/conan -o "steadfast/*:shared=$shared" || continue
    package=$("$conan" list "steadfast/$version:*" --format=compact 2>/dev/null | sed -n 's/^ *\(steadfast[^ ]*#[^ ]*:[0-9a-f]*\).*/\1/p' | tail -n 1)
    folder=$("$conan" cache path "$package")
    case $shared in
    True) libraries="libsteadfast.so libsteadfast.so.0 libsteadfast.so.$version" ;;
    False) libraries=libsteadfast.a ;;
    esac
    check "conan, shared=$shared: a program" used "$folder/include" "$folder/lib/${libraries%% *}" -lpthread
    check "conan, shared=$shared: no other library" equal "$(cd "$folder/lib" && echo *)" "$libraries"
    "$conan" remove -c "steadfast/$version" >/dev/null 2>&1
done
end
